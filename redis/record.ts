/**
 * The dead-letter record: one entry of the dead-letter stream for each entry that cannot be forwarded. The payload is the original
 * entry's flat list field, value, … as MessagePack. Redis makes it from its own copy, so it is lossless for any bytes. It is
 * decoded here with strings left as bytes.
 *
 * Any program that may write to the stream may spoil a record. An unreadable record reports so in `damage` and keeps its raw fields. It is
 * listed, shown and purged like the others, and only a replay refuses it. For that reason this code reads the payload by hand. A full
 * MessagePack decoder allocates as much as a header announces, and two kilobytes of nested headers ended the process.
 */

export const deadLetterReasons = [
  'InvalidPayload',
  'PayloadTooLarge',
  'TooManyFields',
  'SchemaViolation',
  'OptionRefused',
  'MaxDeliveries',
  'JobFailed',
  'Trimmed',
  'SinkRejected',
] as const

export type DeadLetterReason = (typeof deadLetterReasons)[number]

export interface DeadLetter {
  /** Id of the record in the dead-letter stream. */
  readonly id: string
  /** Id the entry had in its stream. */
  readonly originalId: string
  readonly stream: string
  readonly group: string
  /** Who held the entry. */
  readonly consumer: string
  readonly deliveries: number
  /** Undefined where the record is damaged, or of a release that knows more reasons. */
  readonly reason: DeadLetterReason | undefined
  readonly error: string
  /** Flat list field, value, …; empty where the entry had been trimmed. */
  readonly payload: readonly Buffer[]
  /** Hash of the idempotency key; empty where none could be derived. */
  readonly idempotencyKey: string
  /** Milliseconds since the epoch, from the entry's id. */
  readonly firstSeen: number
  /** Milliseconds since the epoch, server time. */
  readonly deadAt: number
  readonly redrives: number
  /** Of a failed job: where its handler threw, as far as it is kept. */
  readonly stacktrace?: string
  /** Of a failed job: the payload was made from the job's data, which is not what the job was forwarded with. */
  readonly altered?: boolean
  /** Why the record cannot be read whole; its fields then hold what could be read. */
  readonly damage?: string
  /** Of a damaged record: field, value, … as Redis holds them. */
  readonly raw?: readonly Buffer[]
}

/** Reads one record as XRANGE replies it (flat list of field and value). Throws nothing: see `damage`. */
export function decodeDeadLetter(id: string, flat: readonly Buffer[]): DeadLetter {
  const fields = new Map<string, Buffer>()
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), flat[i + 1] ?? Buffer.alloc(0))
  const damages: string[] = []
  const missing: string[] = []
  const optional = (name: string) => fields.get(name)?.toString()
  const bytes = (name: string) => {
    const value = fields.get(name)
    if (value === undefined) missing.push(name)
    return value ?? Buffer.alloc(0)
  }
  const text = (name: string) => bytes(name).toString()
  const count = (name: string, most = Number.MAX_SAFE_INTEGER) => {
    const value = text(name)
    if (/^\d{1,16}$/.test(value) && Number(value) <= most) return Number(value)
    if (fields.has(name)) damages.push(`its ${name} is no number`)
    return 0
  }
  const record = {
    id,
    originalId: text('originalId'),
    stream: text('stream'),
    group: text('group'),
    consumer: text('consumer'),
    deliveries: count('deliveries'),
    reason: reasonOf(text('reason'), damages),
    error: text('error'),
    payload: payloadOf(bytes('payload'), damages),
    idempotencyKey: text('idempotencyKey'),
    firstSeen: count('firstSeen', latestDate),
    deadAt: count('deadAt', latestDate),
    redrives: count('redrives'),
  }
  if (missing.length > 0) damages.push(`it lacks ${missing.join(', ')}`)
  const stacktrace = optional('stacktrace')
  return {
    ...record,
    ...(stacktrace === undefined ? {} : { stacktrace }),
    ...(optional('altered') === '1' ? { altered: true } : {}),
    ...(damages.length === 0 ? {} : { damage: damages.join(', '), raw: flat }),
  }
}

/** Milliseconds; what a Date holds. */
const latestDate = 8_640_000_000_000_000

function reasonOf(text: string, damages: string[]): DeadLetterReason | undefined {
  const known = deadLetterReasons.find((reason) => reason === text)
  if (known === undefined && text !== '') damages.push('its reason is not known to this release')
  return known
}

function payloadOf(packed: Buffer, damages: string[]): readonly Buffer[] {
  if (packed.length === 0) return []
  const list = unpacked(packed)
  if (list === undefined || list.length % 2 === 1) {
    damages.push('its payload is no list of fields and values')
    return []
  }
  return list
}

/** The strings of a MessagePack list of strings; undefined for anything else. They are views of `packed`. */
function unpacked(packed: Buffer): readonly Buffer[] | undefined {
  const head = headAt(packed, 0, listHeads)
  // Each item takes at least a byte, so no more room is allocated.
  if (head === undefined || head.size > packed.length) return undefined
  const items: Buffer[] = []
  let at = head.end
  for (let left = head.size; left > 0; left--) {
    const item = headAt(packed, at, stringHeads)
    if (item === undefined || item.end + item.size > packed.length) return undefined
    at = item.end + item.size
    items.push(packed.subarray(item.end, at))
  }
  return at === packed.length ? items : undefined
}

interface Heads {
  /** First byte of a short one, and the bits of that byte that hold its size. */
  readonly fix: number
  readonly mask: number
  /** First byte of a longer one, and the number of following bytes that hold its size. */
  readonly sized: ReadonlyMap<number, number>
}

/** Lua has one kind of table: cmsgpack writes an empty one as an empty list. */
const listHeads: Heads = {
  fix: 0x90,
  mask: 0x0f,
  sized: new Map([
    [0xdc, 2],
    [0xdd, 4],
  ]),
}
/** Texts and binaries. */
const stringHeads: Heads = {
  fix: 0xa0,
  mask: 0x1f,
  sized: new Map([
    [0xd9, 1],
    [0xda, 2],
    [0xdb, 4],
    [0xc4, 1],
    [0xc5, 2],
    [0xc6, 4],
  ]),
}

function headAt(packed: Buffer, at: number, { fix, mask, sized }: Heads): { size: number; end: number } | undefined {
  const first = packed[at]
  if (first === undefined) return undefined
  if ((first & ~mask & 0xff) === fix) return { size: first & mask, end: at + 1 }
  const bytes = sized.get(first)
  if (bytes === undefined || at + 1 + bytes > packed.length) return undefined
  return { size: packed.readUIntBE(at + 1, bytes), end: at + 1 + bytes }
}

/** Whether the text has the form of an entry's id, `1780000000000-0`. */
export const isEntryId = (text: string): boolean => /^\d{1,20}-\d{1,20}$/.test(text)
