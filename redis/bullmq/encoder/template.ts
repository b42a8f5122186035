/**
 * The command by which BullMQ would add a job, without a call of BullMQ for each job. BullMQ makes, checks and packs a large `Job`
 * object for every entry. Of a thousand jobs only the id, the data, the time and the entry differ. That took a third of the time of
 * forwarding one.
 *
 * So BullMQ packs a few jobs whose changing parts are known. These parts are searched in the result, and the bytes between them are
 * kept. A template is believed only if it reproduces, byte by byte, BullMQ's commands for other jobs. If it does not, or a part is
 * found twice or never, there is no template. BullMQ is then called for every job, as for the rare ones that have more parts.
 */

import type { Queue } from 'bullmq'
import { jobId } from '../../keys.ts'
import type { Asked } from '../../payload/request.ts'
import type { ForwardTarget } from '../../placement.ts'
import { dataOf, type ForwardItem, jsonOf, sumOf } from '../item.ts'
import { jobOptionsOf } from '../joboptions.ts'
import { recordAdd } from '../queue.ts'

/** Bytes that stay, and between them the parts that change. */
type Pattern = readonly (Uint8Array | PartName)[]
export type PartName = 'id' | 'time' | 'origin' | 'sum' | 'trace' | 'asked' | 'delay'

/** The add's first and third argument; the second is the data as JSON. */
interface JobTemplate {
  readonly args: Pattern
  readonly options: Pattern
}

/** Text or bytes that make up one argument. */
type Parts = readonly (string | Uint8Array)[]

/** Which parts a job has. Each combination has its own template. `shapeOf` returns undefined for a combination without one. */
export type JobShape = 'Entry' | 'TracedEntry' | 'Direct' | 'TracedDirect'

/**
 * The parts that all requests of one template share. A delay in `options` stands for all delays above 0, which share one template.
 */
export interface OwnOptions {
  readonly name?: string
  readonly options: Asked['options']
  /** Whether options came in fields of the entry, which the job keeps. */
  readonly hasFields: boolean
}

export function shapeOf({ origin, redrives, trace, metadata }: ForwardItem): JobShape | undefined {
  if (metadata !== undefined || (redrives !== undefined && redrives > 0)) return undefined
  const traced = trace.traceparent !== undefined
  if (origin === undefined) return traced ? 'TracedDirect' : 'Direct'
  return traced ? 'TracedEntry' : 'Entry'
}

/** @returns undefined where BullMQ's arguments cannot be foreseen */
export async function makeTemplate(
  queue: Queue,
  target: ForwardTarget,
  shape: JobShape,
  own?: OwnOptions,
): Promise<JobTemplate | undefined> {
  const [model, ...others] = samples(shape, own)
  if (model === undefined) return undefined
  const recorded = await recordSample(queue, target, model)
  if (recorded === undefined) return undefined
  const values = valuesOf(target, model.item, encodeTime(model.timestamp))
  const args = patternOf(recorded.args, values, ['id', 'time'])
  const options = patternOf(recorded.options, values, [...partsOfOptions[shape], ...ownParts(own)])
  if (args === undefined || options === undefined) return undefined
  for (const { item, timestamp } of others) {
    const expected = await recordSample(queue, target, { item, timestamp })
    const actual = fillTemplate({ args, options }, target, item, encodeTime(timestamp))
    if (expected === undefined || expected.data !== item.json.toString()) return undefined
    if (!expected.args.equals(actual.add) || !expected.options.equals(actual.options)) return undefined
  }
  return { args, options }
}

/** The add's three arguments for an item of the template's shape. @param time as `encodeTime` gives it */
export function fillTemplate(template: JobTemplate, target: ForwardTarget, item: ForwardItem, time: Uint8Array) {
  const values = valuesOf(target, item, time)
  const [add, options] = [join(fill(template.args, values)), join(fill(template.options, values))]
  return { kind: 'Add', add, data: item.json, options } as const
}

/** A job's time in MessagePack, milliseconds: a double, as BullMQ's packer writes numbers of that size. */
export function encodeTime(timestamp: number): Uint8Array {
  const time = Buffer.allocUnsafe(9)
  time[0] = 0xcb
  time.writeDoubleBE(timestamp, 1)
  return time
}

/** Those of a job's options, by shape. */
export const partsOfOptions: Readonly<Record<JobShape, readonly PartName[]>> = {
  Entry: ['id', 'origin', 'sum'],
  TracedEntry: ['id', 'origin', 'sum', 'trace'],
  Direct: ['id', 'sum'],
  TracedDirect: ['id', 'sum', 'trace'],
}

const ownParts = (own: OwnOptions | undefined): readonly PartName[] => [
  ...(own?.hasFields === true ? (['asked'] as const) : []),
  ...((own?.options.delay ?? 0) > 0 ? (['delay'] as const) : []),
]

interface Sample {
  readonly item: ForwardItem
  readonly timestamp: number
}

/** Delays of every encoded size: any other delay takes as many bytes as one of these. */
const delays: readonly number[] = [1_516_993_677, 5, 60_000, 31_536_000_000, 200]
const askedSamples: readonly (readonly string[])[] = [
  ['sp-key', 'asked for q'],
  ['sp-key', 'ä'.repeat(100)],
  Array.from({ length: 18 }, (_, at) => `sp-${at}`),
  ['sp-name', '7'.repeat(300), 'sp-delay', '1'],
  ['sp-lifo', 'true'],
]

/** The options in the request of a sample. */
function askedIn(own: OwnOptions, at: number): Asked {
  const { name, options, hasFields } = own
  const delay = (options.delay ?? 0) > 0 ? delays[at] : undefined
  return {
    ...(name === undefined ? {} : { name }),
    options: delay === undefined ? options : { ...options, delay },
    fields: hasFields ? (askedSamples[at] ?? []) : [],
  }
}

/** The first is the model; the others differ from it in every part, and in how long a part is. */
export function samples(shape: JobShape, own?: OwnOptions): readonly Sample[] {
  const hash = (letter: string) => letter.repeat(43)
  const direct = shape === 'Direct' || shape === 'TracedDirect'
  const traced = shape === 'TracedEntry' || shape === 'TracedDirect'
  const sample = (letter: string, origin: string, tracestate: string | undefined, timestamp: number, data: object): Sample => ({
    item: {
      hash: hash(letter),
      json: jsonOf(data),
      trace: traced
        ? { traceparent: `00-${letter.repeat(32)}-${letter.repeat(16)}-01`, ...(tracestate === undefined ? {} : { tracestate }) }
        : {},
      ...(direct ? {} : { origin }),
    },
    timestamp,
  })
  const plain = [
    sample('q', '1784902617355-23', undefined, 1_784_902_617_355, {}),
    sample('Z', '0-1', 'vendor=1', 1_000_000_000_001, { text: 'ä"\n', list: [1, null, { deep: true }] }),
    sample('_', '18446744073709551615-18446744073709551615', 'v=2'.repeat(60), 1_999_999_999_999, { id: 7, name: 'q' }),
    sample('7', '1784902617355-1784902617355', 'v=3'.repeat(150), 1_784_902_617_356, { __v: -0.5 }),
    ...(own === undefined ? [] : [sample('x', '1-1', undefined, 1_784_902_617_357, {})]),
  ]
  return own === undefined
    ? plain
    : plain.map(({ item, timestamp }, at) => ({ item: { ...item, asked: askedIn(own, at) }, timestamp }))
}

interface Recorded {
  readonly args: Buffer
  readonly data: string
  readonly options: Buffer
}

/** The add's three arguments as BullMQ sends them; undefined where it refuses the job or sends others. */
export async function recordSample(
  queue: Queue,
  target: ForwardTarget,
  { item, timestamp }: Sample,
): Promise<Recorded | undefined> {
  const id = jobId(target.keys.scope, item.hash)
  const call = await recordAdd(queue, item.asked?.name ?? target.jobName, dataOf(item), jobOptionsOf(target, item, id), timestamp)
  if (typeof call === 'string') return undefined
  const [args, data, options] = call.args.slice(-3)
  if (!Buffer.isBuffer(args) || typeof data !== 'string' || !Buffer.isBuffer(options)) return undefined
  return { args, data, options }
}

type Values = Readonly<Record<PartName, Parts>>

function valuesOf({ keys }: ForwardTarget, item: ForwardItem, time: Uint8Array): Values {
  const { hash, origin = '', json, trace, asked } = item
  return {
    id: ascii(jobId(keys.scope, hash)),
    time: [time],
    origin: ascii(origin),
    sum: ascii(sumOf(json)),
    trace: trace.traceparent === undefined ? [] : text(JSON.stringify(trace)),
    asked: asked === undefined ? nothing : [listHeader(asked.fields.length), ...asked.fields.flatMap(text)],
    delay: asked?.options.delay === undefined ? nothing : [encodeCount(asked.options.delay)],
  }
}

/** Undefined where a part is not there exactly once. */
function patternOf(recorded: Buffer, values: Values, names: readonly PartName[]): Pattern | undefined {
  const found: { readonly name: PartName; readonly from: number; readonly to: number }[] = []
  for (const name of names) {
    const part = join(values[name])
    const from = recorded.indexOf(part)
    if (from === -1 || recorded.includes(part, from + 1)) return undefined
    found.push({ name, from, to: from + part.length })
  }
  found.sort((a, b) => a.from - b.from)
  const pattern: (Uint8Array | PartName)[] = []
  let at = 0
  for (const { name, from, to } of found) {
    pattern.push(Uint8Array.from(recorded.subarray(at, from)), name)
    at = to
  }
  pattern.push(Uint8Array.from(recorded.subarray(at)))
  return pattern
}

function fill(pattern: Pattern, values: Values): Parts {
  const parts: (string | Uint8Array)[] = []
  for (const piece of pattern) {
    if (typeof piece === 'string') parts.push(...values[piece])
    else parts.push(piece)
  }
  return parts
}

const text = (value: string): Parts => [textHeader(Buffer.byteLength(value)), value]
/** Ids made here and by Redis, whose length is their size. */
const ascii = (value: string): Parts => [textHeader(value.length), value]

const shortest = Array.from({ length: 0x20 }, (_, length) => Uint8Array.of(0xa0 | length))
const short = Array.from({ length: 0x100 }, (_, length) => Uint8Array.of(0xd9, length))

/** The shortest header that MessagePack has for a text of so many bytes. */
function textHeader(length: number): Uint8Array {
  const known = shortest[length] ?? short[length]
  if (known !== undefined) return known
  if (length < 0x10000) return Uint8Array.of(0xda, length >> 8, length & 0xff)
  return Uint8Array.of(0xdb, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff)
}

const nothing: Parts = []

function listHeader(length: number): Uint8Array {
  return length < 16 ? Uint8Array.of(0x90 | length) : Uint8Array.of(0xdc, length >> 8, length & 0xff)
}

/** A whole number from 0 on, as short as MessagePack has it. Beyond 32 bits it is a double, as BullMQ's packer writes it. */
function encodeCount(value: number): Uint8Array {
  if (value < 0x80) return Uint8Array.of(value)
  if (value < 0x100) return Uint8Array.of(0xcc, value)
  if (value < 0x10000) return Uint8Array.of(0xcd, value >> 8, value & 0xff)
  if (value > 0xffffffff) return encodeTime(value)
  return Uint8Array.of(0xce, value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff)
}

const join = (parts: Parts) => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
