/**
 * The dead-letter record: one entry of the dead-letter stream for each entry that cannot be forwarded. The payload is the
 * original entry's flat list field, value, … as MessagePack made by Redis itself from its own copy, so that it is lossless for
 * any bytes; it is decoded here with strings left as bytes.
 */
import { Decoder } from '@msgpack/msgpack'

export const deadLetterReasons = [
  'InvalidPayload',
  'PayloadTooLarge',
  'TooManyFields',
  'SchemaViolation',
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
  readonly reason: DeadLetterReason
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
}

const decoder = new Decoder({ rawStrings: true })

/** Reads one record as XRANGE replies it (flat list of field and value). */
export function decodeDeadLetter(id: string, flat: readonly Buffer[]): DeadLetter {
  const fields = new Map<string, Buffer>()
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), flat[i + 1] ?? Buffer.alloc(0))
  const text = (name: string) => String(fields.get(name) ?? '')
  const count = (name: string) => Number(text(name)) || 0
  return {
    id,
    originalId: text('originalId'),
    stream: text('stream'),
    group: text('group'),
    consumer: text('consumer'),
    deliveries: count('deliveries'),
    reason: asReason(text('reason')),
    error: text('error'),
    payload: decodePayload(fields.get('payload')),
    idempotencyKey: text('idempotencyKey'),
    firstSeen: count('firstSeen'),
    deadAt: count('deadAt'),
    redrives: count('redrives'),
  }
}

function asReason(text: string): DeadLetterReason {
  return deadLetterReasons.find((reason) => reason === text) ?? 'InvalidPayload'
}

function decodePayload(packed: Buffer | undefined): readonly Buffer[] {
  if (packed === undefined || packed.length === 0) return []
  const list: unknown = decoder.decode(packed)
  // Lua has one kind of table: cmsgpack writes an empty one as an empty list.
  return Array.isArray(list)
    ? list.map((item) => (item instanceof Uint8Array ? Buffer.from(item) : Buffer.from(String(item))))
    : []
}
