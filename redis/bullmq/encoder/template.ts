/**
 * What BullMQ would send to add a job, without asking it each time. Its `Job` is a large object made, checked and packed anew for
 * every entry, though of a thousand jobs only the id, the data, the time and the entry they came from differ: that was a third of
 * forwarding one.
 *
 * So BullMQ is asked for a few jobs whose changing parts are known, these parts are looked for in what it packed, and what lies between
 * them is kept. A template is believed only when it reproduces, byte by byte, what BullMQ sends for other jobs; if it does not, or
 * a part is found twice or never, there is no template and BullMQ is asked for every job, as it is for the rare ones that have more parts.
 */

import type { Queue } from 'bullmq'
import { jobId } from '../../keys.ts'
import type { ForwardTarget } from '../../placement.ts'
import { dataOf, type ForwardItem, jsonOf, sumOf } from '../item.ts'
import { jobOptionsOf, recordAdd } from '../queue.ts'

/** Bytes that stay, and between them the parts that change. */
type Pattern = readonly (Uint8Array | PartName)[]
type PartName = 'id' | 'time' | 'origin' | 'sum' | 'trace'

/** The add's first and third argument; the second is the data as JSON. */
export interface JobTemplate {
  readonly args: Pattern
  readonly options: Pattern
}

/** Text or bytes that make up one argument. */
export type Parts = readonly (string | Uint8Array)[]

/** Which parts a job has; each combination has its own template. Undefined: one that none is kept for. */
export type JobShape = 'Entry' | 'TracedEntry' | 'Direct' | 'TracedDirect'

export function shapeOf({ origin, redrives, trace, metadata, asked }: ForwardItem): JobShape | undefined {
  if (metadata !== undefined || asked !== undefined || (redrives !== undefined && redrives > 0)) return undefined
  const traced = trace.traceparent !== undefined
  if (origin === undefined) return traced ? 'TracedDirect' : 'Direct'
  return traced ? 'TracedEntry' : 'Entry'
}

/** @returns undefined where BullMQ's arguments cannot be foreseen */
export async function makeTemplate(queue: Queue, target: ForwardTarget, shape: JobShape): Promise<JobTemplate | undefined> {
  const [model, ...others] = samples(shape)
  if (model === undefined) return undefined
  const recorded = await record(queue, target, model)
  if (recorded === undefined) return undefined
  const values = valuesOf(target, model.item, encodeTime(model.timestamp))
  const args = patternOf(recorded.args, values, ['id', 'time'])
  const options = patternOf(recorded.options, values, partsOfOptions[shape])
  if (args === undefined || options === undefined) return undefined
  for (const { item, timestamp } of others) {
    const expected = await record(queue, target, { item, timestamp })
    const actual = fillTemplate({ args, options }, target, item, encodeTime(timestamp))
    if (expected === undefined || expected.data !== item.json.toString()) return undefined
    if (!expected.args.equals(join(actual.args)) || !expected.options.equals(join(actual.options))) return undefined
  }
  return { args, options }
}

/** The add's three arguments for an item of the template's shape. @param time as `encodeTime` gives it */
export function fillTemplate(template: JobTemplate, target: ForwardTarget, item: ForwardItem, time: Uint8Array) {
  const values = valuesOf(target, item, time)
  return { kind: 'Add', args: fill(template.args, values), data: item.json, options: fill(template.options, values) } as const
}

/** A job's time in MessagePack, milliseconds: a double, as BullMQ's packer writes numbers of that size. */
export function encodeTime(timestamp: number): Uint8Array {
  const time = Buffer.allocUnsafe(9)
  time[0] = 0xcb
  time.writeDoubleBE(timestamp, 1)
  return time
}

const partsOfOptions: Readonly<Record<JobShape, readonly PartName[]>> = {
  Entry: ['id', 'origin', 'sum'],
  TracedEntry: ['id', 'origin', 'sum', 'trace'],
  Direct: ['id', 'sum'],
  TracedDirect: ['id', 'sum', 'trace'],
}

interface Sample {
  readonly item: ForwardItem
  readonly timestamp: number
}

/** The first is the model; the others differ from it in every part, and in how long a part is. */
function samples(shape: JobShape): readonly Sample[] {
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
  return [
    sample('q', '1784902617355-23', undefined, 1_784_902_617_355, {}),
    sample('Z', '0-1', 'vendor=1', 1_000_000_000_001, { text: 'ä"\n', list: [1, null, { deep: true }] }),
    sample('_', '18446744073709551615-18446744073709551615', 'v=2'.repeat(60), 1_999_999_999_999, { id: 7, name: 'q' }),
    sample('7', '1784902617355-1784902617355', 'v=3'.repeat(150), 1_784_902_617_356, { __v: -0.5 }),
  ]
}

interface Recorded {
  readonly args: Buffer
  readonly data: string
  readonly options: Buffer
}

async function record(queue: Queue, target: ForwardTarget, { item, timestamp }: Sample): Promise<Recorded | undefined> {
  const id = jobId(target.keys.scope, item.hash)
  const call = await recordAdd(queue, target.jobName, dataOf(item), jobOptionsOf(target, item, id), timestamp)
  if (typeof call === 'string') return undefined
  const [args, data, options] = call.args.slice(-3)
  if (!Buffer.isBuffer(args) || typeof data !== 'string' || !Buffer.isBuffer(options)) return undefined
  return { args, data, options }
}

type Values = Readonly<Record<PartName, Parts>>

function valuesOf({ keys }: ForwardTarget, { hash, origin = '', json, trace }: ForwardItem, time: Uint8Array): Values {
  return {
    id: ascii(jobId(keys.scope, hash)),
    time: [time],
    origin: ascii(origin),
    sum: ascii(sumOf(json)),
    trace: trace.traceparent === undefined ? [] : text(JSON.stringify(trace)),
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

const join = (parts: Parts) => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
