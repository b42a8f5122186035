/**
 * Failed jobs become dead letters. BullMQ's failed set is the source of truth. A worker's `failed` event can be lost in a crash,
 * and membership of the set cannot. Membership is final at any number of attempts: unrecoverable and stalled jobs fail at the first
 * of three. Only jobs with an id of our scope are touched.
 *
 * Per job one script: still in the set? write the record, remove the job by BullMQ's own removal. A public check-then-remove would
 * kill a job that was retried in between. A removal that is refused half-way (rights were taken away) finds the record noted in the
 * job's hash when it is tried again. Jobs with a parent or children are recorded once and stay, since removing a failed child
 * releases its parent. All jobs stay where the text of BullMQ's removal is not known. If the queue lives in another Redis, the
 * record goes first, under a token per failure. So a crash between the two steps leaves one record.
 *
 * No lease: sweepers that meet at one job find it gone.
 */

import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { BullScripts } from '../bullmq/queue.ts'
import { removalOf } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection, rethrowOn } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import { jobId } from '../keys.ts'
import type { Codec } from '../payload/codec.ts'
import { type Placement, queueKey } from '../placement.ts'
import { captureJobWith, failedJobStandsWith, recordJob, takeFailedJobWith } from '../scripts/generated.ts'
import { type FailedJob, failedJobFields, failedJobOf } from './failedjob.ts'
import { createFailedSet } from './failedset.ts'

export interface Sweep {
  /** Failed jobs recorded as dead letters, by what became of the job. */
  readonly removed: number
  readonly kept: number
  /**
   * The error of a failed job that was passed over: it names a key of the job, which holds the wrong type. The other jobs were processed.
   */
  readonly foreign?: StreamPipelineError
}

export interface Sweeper {
  /**
   * One round over the jobs that failed since the last round, and a part of the rest (failedset.ts). Throws catalogued errors. Before that,
   * it has called `captured` for each captured job.
   */
  sweep(captured?: (outcome: 'removed' | 'kept') => void): Promise<Sweep>
}

interface SweeperParts {
  readonly stream: RedisConnection
  readonly queue: RedisConnection
  readonly placement: Placement
  readonly codec: Codec
  /** BullMQ's scripts where they are known; without them jobs are recorded and stay. */
  readonly scripts: BullScripts | undefined
}

/**
 * Least life of a token. Where the queue is in another Redis, it keeps a failure from being recorded again. A job is removed right
 * after its record.
 */
const leastTokenTtlMs = 24 * 60 * 60_000

export function createSweeper(parts: SweeperParts): Sweeper {
  const { stream, queue, codec, placement } = parts
  const { place, target } = placement
  const queueKeys = queueKey(target)
  const idPrefix = jobId(target.keys.scope, '')
  const failed = createFailedSet({ queue, key: `${queueKeys}failed`, idPrefix, stream, stats: place.keys.stats })
  const removal = removalOf(parts.scripts)
  const captureJob = captureJobWith(removal)
  const failedJobStands = failedJobStandsWith(removal)
  const takeFailedJob = takeFailedJobWith(removal)
  const { group, maxDeadLetters, deadLetters } = place
  const index = place.keys.dead('')
  const onStream = rethrowOn(stream)

  const tokenOf = ({ hash, finishedOn }: Pick<FailedJob, 'hash' | 'finishedOn'>) =>
    `${place.keys.prefix}captured:${hash}:${finishedOn}`

  const capture = async (id: string, { finishedOn, ...record }: FailedJob): Promise<number> => {
    if (placement.together) {
      const args = { id, finishedOn, maxDeadLetters, group, index, ...record }
      const keys = { stream: place.stream, deadLetters, queue: queueKeys }
      return (await captureJob(stream, keys, args).catch(onStream)).outcome
    }
    if (!(await failedJobStands(queue, { queue: queueKeys }, { id, finishedOn })).stands) return 0
    const token = tokenOf({ hash: record.hash, finishedOn })
    const args = { maxDeadLetters, group, index, ...record, tokenTtlMs: Math.max(target.windowMs, leastTokenTtlMs) }
    await recordJob(stream, { stream: place.stream, deadLetters, token }, args).catch(onStream)
    return (await takeFailedJob(queue, { queue: queueKeys }, { id, finishedOn })).outcome
  }

  /** The error for the one key of a job that holds the wrong type. */
  const foreignKey = async (id: string, tokenOfJob: string | undefined): Promise<StreamPipelineError | undefined> => {
    const key = queueKeys + id
    const [job, lock, kept] = await Promise.all([
      queue.type(key),
      queue.type(`${key}:lock`),
      tokenOfJob === undefined ? 'none' : stream.type(tokenOfJob).catch(onStream),
    ])
    if (job !== 'hash' && job !== 'none') return failure('WrongKeyType', { key, actual: job, expected: 'hash' })
    if (lock !== 'string' && lock !== 'none') {
      return failure('WrongKeyType', { key: `${key}:lock`, actual: lock, expected: 'string' })
    }
    if (tokenOfJob === undefined || kept === 'string' || kept === 'none') return undefined
    return failure('WrongKeyType', { key: tokenOfJob, actual: kept, expected: 'string' })
  }

  /** The outcome for one job: 0 nothing, 1 removed, 2 kept, or the error of a key in its way. */
  const sweepJob = async (id: string): Promise<number | StreamPipelineError> => {
    let job: FailedJob | undefined
    try {
      const values = await queue.hmget(queueKeys + id, ...failedJobFields)
      job = failedJobOf(codec, id.slice(idPrefix.length), values)
      return job === undefined ? 0 : await capture(id, job)
    } catch (thrown) {
      const found = replyCode(thrown) === 'WRONGTYPE' ? await foreignKey(id, job && tokenOf(job)) : undefined
      if (found === undefined) throw thrown
      return found
    }
  }

  return {
    async sweep(captured) {
      let removed = 0
      let kept = 0
      let foreign: StreamPipelineError | undefined
      try {
        await failed.round(async (id) => {
          const outcome = await sweepJob(id)
          if (typeof outcome !== 'number') foreign ??= outcome
          else if (outcome === 1) {
            removed += 1
            captured?.('removed')
          } else if (outcome === 2) {
            kept += 1
            captured?.('kept')
          }
        })
      } catch (thrown) {
        // No room for more records: the jobs stay where they are, and come again.
        if (replyCode(thrown) !== 'FULL') throw failureOn(queue, thrown)
      }
      return { removed, kept, ...(foreign && { foreign }) }
    },
  }
}
