/** The add's arguments for a batch of jobs: by template where one holds, by asking BullMQ where none does. */

import { failure } from '../../../api/errors.ts'
import { jobId } from '../../keys.ts'
import type { ForwardTarget } from '../../placement.ts'
import { type AddOptions, addScriptFor } from '../addscript.ts'
import { dataOf, type ForwardItem } from '../item.ts'
import { headOf, jobOptionsOf } from '../joboptions.ts'
import { type BullQueue, type RecordedCall, recordAdd } from '../queue.ts'
import { type AddWay, byBullText, packedJob } from '../specialisedadd.ts'
import { checkPlain, fillJson, jsonOptions, makeJsonTemplate } from './jsonoptions.ts'
import { encodeTime, fillTemplate, type JobShape, makeTemplate, type OwnOptions } from './template.ts'
import { createTemplates } from './templates.ts'

/** One job to add: the add's three arguments, the first of which the specialised add lacks; or why BullMQ refuses it. */
export type JobCall =
  | {
      readonly kind: 'Add'
      readonly add?: string | Buffer
      readonly data: string | Buffer
      readonly options: string | Buffer
    }
  | { readonly kind: 'Refused'; readonly error: string }

interface Composed {
  /** One per item, in order. */
  readonly calls: readonly JobCall[]
  /** The part that is the same for all of them, as the scripts take it. */
  readonly job: Buffer
}

interface JobComposer {
  /** Keys of the add script, the same for every job; none before the first job was composed. */
  readonly keys: readonly string[]
  compose(items: readonly ForwardItem[]): Promise<Composed>
}

type Fill = (item: ForwardItem, timestamp: number) => JobCall

/** The difference between the two ways of adding. */
interface Encoding {
  /** Fills in an item; undefined where its shape has no template. */
  templateFor(shape: JobShape, own: OwnOptions | undefined): Promise<Fill | undefined>
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
  const templates = createTemplates(encoding.templateFor)
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

  return {
    get keys() {
      return keys
    },
    async compose(items) {
      const timestamp = clock()
      const calls: JobCall[] = []
      for (const item of items) {
        const found = templates.find(item)
        const fill = found instanceof Promise ? await found : found
        // One call shows the keys.
        const asked = fill === undefined || keys.length === 0 ? await ask(item, timestamp) : undefined
        const call = fill === undefined ? asked : fill(item, headOf(target, item, timestamp).timestamp)
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
    async templateFor(shape, own) {
      const template = await makeTemplate(queue, target, shape, own)
      return template && ((item, timestamp) => fillTemplate(template, target, item, timeOf(timestamp)))
    },
    encode: (add, data, options) => ({ kind: 'Add', add, data, options }),
    job: () => byBullText,
  }
}

/** As the specialised add takes them: options as JSON, and nothing else. */
function jsonEncoding({ queue }: BullQueue, target: ForwardTarget): Encoding {
  return {
    async templateFor(shape, own) {
      // It takes jobs that are all alike.
      if (own !== undefined) return undefined
      const template = await makeJsonTemplate(queue, target, shape)
      return template && ((item) => ({ kind: 'Add', data: item.json, options: fillJson(template, target, item) }))
    },
    encode(args, data, options) {
      checkPlain(Buffer.from(args))
      return { kind: 'Add', data, options: jsonOptions(Buffer.from(options)) }
    },
    job: (timestamp) => packedJob(target, timestamp),
  }
}
