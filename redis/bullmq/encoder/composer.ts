/** The add's arguments for a batch of jobs: by template where one holds, by asking BullMQ where none does. */

import { failure } from '../../../api/errors.ts'
import { jobId } from '../../keys.ts'
import type { ForwardTarget } from '../../placement.ts'
import { type AddOptions, addScriptFor } from '../addscript.ts'
import { dataOf, type ForwardItem } from '../item.ts'
import { type BullQueue, headOf, jobOptionsOf, type RecordedCall, recordAdd } from '../queue.ts'
import { type AddWay, byBullText, packedJob } from '../specialisedadd.ts'
import { checkPlain, fillJson, jsonOptions, makeJsonTemplate } from './jsonoptions.ts'
import { encodeTime, fillTemplate, type JobShape, makeTemplate, type Parts, shapeOf } from './template.ts'

/** One job to add: the add's three arguments; or why BullMQ refuses it. */
export type JobCall =
  | { readonly kind: 'Add'; readonly args: Parts; readonly data: string | Buffer; readonly options: Parts }
  | { readonly kind: 'Refused'; readonly error: string }

interface Composed {
  /** One per item, in order. */
  readonly calls: readonly JobCall[]
  /** What is the same for all of them, as the scripts take it. */
  readonly job: Buffer
}

interface JobComposer {
  /** Keys of the add script, the same for every job; none before the first job was composed. */
  readonly keys: readonly string[]
  compose(items: readonly ForwardItem[]): Promise<Composed>
}

/** What differs between the two ways of adding. */
interface Encoding {
  /** Fills in an item; undefined where its shape has no template. */
  templateFor(shape: JobShape): Promise<((item: ForwardItem, timestamp: number) => JobCall) | undefined>
  /** From what BullMQ would send. */
  encode(args: string | Buffer, data: string | Buffer, options: string | Buffer): JobCall
  job(timestamp: number): Buffer
}

/**
 * @param clock a job's time, milliseconds since 1970
 * @param options of the jobs, as far as they decide which script adds: all items of a composer are added by one
 */
export function createJobComposer(
  bull: BullQueue,
  target: ForwardTarget,
  way: AddWay,
  clock: () => number = Date.now,
  options: AddOptions = target.jobOptions,
): JobComposer {
  const script = addScriptFor(options)
  const keyCount = bull.scripts.get(script)?.keys ?? 0
  const encoding = way === 'Specialised' ? jsonEncoding(bull, target) : packedEncoding(bull, target)
  const templates = new Map<JobShape, Awaited<ReturnType<Encoding['templateFor']>>>()
  let keys: readonly string[] = []

  const ask = async (item: ForwardItem, now: number): Promise<JobCall> => {
    const id = jobId(target.keys.scope, item.hash)
    const { name, timestamp } = headOf(target, item, now)
    const call = await recordAdd(bull.queue, name, dataOf(item), jobOptionsOf(target, item, id), timestamp)
    if (typeof call === 'string') return { kind: 'Refused', error: call }
    checkScript(call)
    keys = call.args.slice(0, keyCount).map(String)
    const [args = '', data = '', options = ''] = call.args.slice(keyCount)
    return encoding.encode(args, data, options)
  }

  const checkScript = (call: RecordedCall) => {
    if (call.script !== script) throw failure('Internal', { detail: `BullMQ adds with ${call.script}, not ${script}` })
  }

  const templateFor = async (shape: JobShape) => {
    if (!templates.has(shape)) templates.set(shape, await encoding.templateFor(shape))
    return templates.get(shape)
  }

  return {
    get keys() {
      return keys
    },
    async compose(items) {
      const timestamp = clock()
      const calls: JobCall[] = []
      for (const item of items) {
        const shape = shapeOf(item)
        const fill = shape === undefined ? undefined : (templates.get(shape) ?? (await templateFor(shape)))
        // The keys are told by asking once.
        const asked = fill === undefined || keys.length === 0 ? await ask(item, timestamp) : undefined
        const call = fill === undefined ? asked : fill(item, timestamp)
        if (call !== undefined) calls.push(call)
      }
      return { calls, job: encoding.job(timestamp) }
    },
  }
}

/** As BullMQ's own text takes them. */
function packedEncoding({ queue }: BullQueue, target: ForwardTarget): Encoding {
  let last: { readonly timestamp: number; readonly time: Uint8Array } = { timestamp: Number.NaN, time: new Uint8Array() }
  const timeOf = (timestamp: number) => {
    if (last.timestamp !== timestamp) last = { timestamp, time: encodeTime(timestamp) }
    return last.time
  }
  return {
    async templateFor(shape) {
      const template = await makeTemplate(queue, target, shape)
      return template && ((item, timestamp) => fillTemplate(template, target, item, timeOf(timestamp)))
    },
    encode: (args, data, options) => ({ kind: 'Add', args: [args], data, options: [options] }),
    job: () => byBullText,
  }
}

/** As the specialised add takes them: options as JSON, and nothing else. */
function jsonEncoding({ queue }: BullQueue, target: ForwardTarget): Encoding {
  return {
    async templateFor(shape) {
      const template = await makeJsonTemplate(queue, target, shape)
      return template && ((item) => ({ kind: 'Add', args: [fillJson(template, target, item)], data: item.json, options: [] }))
    },
    encode(args, data, options) {
      checkPlain(Buffer.from(args))
      return { kind: 'Add', args: [jsonOptions(Buffer.from(options))], data, options: [] }
    },
    job: (timestamp) => packedJob(target, timestamp),
  }
}
