/** The set-up of a scenario, and the state that is expected once the refusal is over. */
import type { PathKind } from '../../../redis/settle/path.ts'
import type { World } from './rig.ts'

export interface Expected {
  /** Jobs executed per key, in all; for every key that an entry has. */
  readonly jobs: Readonly<Record<string, number>>
  /** `reason label`; the label is the key of the payload or, where it has none, the one given to the entry's id in `labels`. */
  readonly records?: readonly string[]
  /** Keys whose mark must be there. */
  readonly marks?: readonly string[]
  /** Entries lost unread, by the ledger. */
  readonly lost?: number
  /** Entries that the ledger does not count, since they were there before it; undefined: it counts all. */
  readonly uncounted?: number
}

export interface Play {
  readonly expected: Expected
  readonly labels?: ReadonlyMap<string, string>
  /** Keys of jobs that no worker takes before the end, since nothing marks them yet. */
  readonly spared?: readonly string[]
  /** More keys of jobs, for printing. */
  readonly keys?: readonly string[]
  /** Through the wire; run again when it was refused, as the product does. */
  operate(): Promise<void>
  /** Other faults at the end. */
  problems?(): Promise<readonly string[]>
}

/** `refused`: BullMQ refuses to add them. */
export type Variant = 'plain' | 'delayed' | 'prioritised' | 'lifo' | 'refused'

export interface Scenario {
  readonly name: string
  /** Default: all. */
  readonly paths?: readonly PathKind[]
  /** The kinds of jobs that it is tried with; default: plain ones. */
  readonly variants?: readonly Variant[]
  /** Rights beyond the consumer's: of the application's own user. */
  readonly grants?: readonly string[]
  /** Tried again with a worker, and a consumer of new entries, between refusal and retry. */
  readonly served?: boolean
  lay(world: World): Promise<Play>
}

/** A job that is there without a mark. */
export async function existingJob(
  { path }: World,
  key: string,
  state: 'live' | 'hanging' | 'completed' | 'failed',
  timestamp = Date.now(),
): Promise<void> {
  const { queue, queueClient, queueKey, target } = path
  const id = path.id(key)
  await queue.add(target.jobName, { k: key }, { ...target.jobOptions, jobId: id, timestamp })
  if (state !== 'live') await takeOut(path, [id])
  if (state === 'live' || state === 'hanging') return
  await queueClient.zadd(`${queueKey}${state}`, timestamp, id)
  await queueClient.hset(queueKey + id, { finishedOn: String(timestamp), failedReason: 'not today', atm: '1' })
}

/** Fails the live job of a key, as a worker does at its last attempt. */
export async function failJob(
  { path }: World,
  key: string,
  at: number,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const id = path.id(key)
  await takeOut(path, [id])
  await path.queueClient.zadd(`${path.queueKey}failed`, at, id)
  await path.queueClient.hset(path.queueKey + id, { finishedOn: String(at), failedReason: 'not today', atm: '1', ...more })
}

export async function takeOut({ queueClient, queueKey }: World['path'], ids: readonly string[]): Promise<void> {
  const batch = queueClient.pipeline()
  for (const id of ids) {
    for (const list of ['wait', 'active', 'paused']) batch.lrem(queueKey + list, 0, id)
    for (const set of ['delayed', 'prioritized']) batch.zrem(queueKey + set, id)
  }
  await batch.exec()
}
