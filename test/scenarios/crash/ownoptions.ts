/** Options that the entries of the scenario carry, as fields: each way of adding a job, for each way in which an entry can end. */
import { fieldsOf, type RequestOptions } from '../../../redis/payload/request.ts'
import { pipelineFor } from './assemble.ts'

const options: Readonly<Record<string, RequestOptions>> = {
  'reclaimed-1': { delay: 1 },
  'reclaimed-2': { priority: 3 },
  'reclaimed-3': { name: 'report', lifo: true },
  'delivered-twice': { priority: 1, delay: 60_000 },
  worn: { delay: 5 },
  trimmed: { priority: 7 },
  own: { priority: 2 },
  'fresh-1': { name: 'report' },
  'fresh-2': { priority: 2 },
  'fresh-3': { delay: 60_000 },
  'fresh-4': { attempts: 4, backoff: { type: 'exponential', delay: 100 }, idempotencyKey: 'a key of its own' },
  twin: { delay: 2 },
  marked: { priority: 9 },
  waiting: { priority: 2 },
  retained: { delay: 1 },
  outlived: { delay: 1 },
  orphan: { priority: 4 },
  contended: { delay: 3, removeOnComplete: true },
}

const { allow } = pipelineFor({ path: 'Atomic', ownOptions: true }).sink

export const optionsOf = (key: string): readonly string[] => fieldsOf(options[key] ?? {}, allow)
