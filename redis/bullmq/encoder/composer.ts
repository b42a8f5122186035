/** BullMQ's arguments for a batch of jobs: by template where one holds, by asking BullMQ where none does. */

import { failure } from '../../../api/errors.ts'
import { jobId } from '../../keys.ts'
import type { ForwardTarget } from '../../placement.ts'
import { type AddOptions, addScriptFor } from '../addscript.ts'
import { dataOf, type ForwardItem } from '../item.ts'
import { type BullQueue, headOf, jobOptionsOf, type RecordedCall, recordAdd } from '../queue.ts'
import { encodeTime, fillTemplate, type JobShape, type JobTemplate, makeTemplate, type Parts, shapeOf } from './template.ts'

/** One job to add: the add script's three arguments; or why BullMQ refuses it. */
export type JobCall =
  | { readonly kind: 'Add'; readonly args: Parts; readonly data: string | Buffer; readonly options: Parts }
  | { readonly kind: 'Refused'; readonly error: string }

interface JobComposer {
  /** Keys of the add script, the same for every job; none before the first job was composed. */
  readonly keys: readonly string[]
  /** One call per item, in order. */
  compose(items: readonly ForwardItem[]): Promise<readonly JobCall[]>
}

/**
 * @param clock a job's time, milliseconds since 1970
 * @param options of the jobs, as far as they decide which script adds: all items of a composer are added by one
 */
export function createJobComposer(
  bull: BullQueue,
  target: ForwardTarget,
  clock: () => number = Date.now,
  options: AddOptions = target.jobOptions,
): JobComposer {
  const script = addScriptFor(options)
  const keyCount = bull.scripts.get(script)?.keys ?? 0
  const templates = new Map<JobShape, JobTemplate | undefined>()
  let keys: readonly string[] = []

  const ask = async (item: ForwardItem, now: number): Promise<JobCall> => {
    const id = jobId(target.keys.scope, item.hash)
    const { name, timestamp } = headOf(target, item, now)
    const call = await recordAdd(bull.queue, name, dataOf(item), jobOptionsOf(target, item, id), timestamp)
    if (typeof call === 'string') return { kind: 'Refused', error: call }
    checkScript(call)
    keys = call.args.slice(0, keyCount).map(String)
    const [args = '', data = '', options = ''] = call.args.slice(keyCount)
    return { kind: 'Add', args: [args], data, options: [options] }
  }

  const checkScript = (call: RecordedCall) => {
    if (call.script !== script) throw failure('Internal', { detail: `BullMQ adds with ${call.script}, not ${script}` })
  }

  const templateFor = async (shape: JobShape) => {
    if (!templates.has(shape)) templates.set(shape, await makeTemplate(bull.queue, target, shape))
    return templates.get(shape)
  }

  return {
    get keys() {
      return keys
    },
    async compose(items) {
      const timestamp = clock()
      const time = encodeTime(timestamp)
      const calls: JobCall[] = []
      for (const item of items) {
        const shape = shapeOf(item)
        const template = shape === undefined ? undefined : (templates.get(shape) ?? (await templateFor(shape)))
        // The keys are told by asking once.
        const asked = template === undefined || keys.length === 0 ? await ask(item, timestamp) : undefined
        if (template === undefined && asked !== undefined) calls.push(asked)
        else if (template !== undefined) calls.push(fillTemplate(template, target, item, time))
      }
      return calls
    },
  }
}
