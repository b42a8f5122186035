/**
 * Failed jobs become dead letters. BullMQ's failed set is the source of truth: a worker's `failed` event can be lost in a crash,
 * membership of the set cannot, and it is final whatever the attempts say (unrecoverable and stalled jobs fail at the first of
 * three). Only jobs with an id of our scope are touched.
 *
 * Per job one script: still in the set? write the record, remove the job by BullMQ's own removal. A public check-then-remove would
 * kill a job that was retried in between. A removal that is refused half-way (rights were taken away) finds the record noted in the
 * job's hash when it is tried again. Jobs with a parent or children are recorded once and stay, since removing a failed
 * child releases its parent; so does everything where BullMQ's removal is not known by its text. Where the queue lives in
 * another Redis the record goes first, under a token per failure, so that a crash between the two steps leaves one record.
 *
 * No lease: sweepers that meet at one job find it gone.
 */

import { encode } from '@msgpack/msgpack'
import type { BullScripts } from '../bullmq/queue.ts'
import { removalOf } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import { jobId } from '../keys.ts'
import type { Codec } from '../payload/codec.ts'
import { type Placement, queueKey } from '../placement.ts'
import { captureJobWith, failedJobStandsWith, recordJob, takeFailedJobWith } from '../scripts/generated.ts'
import { createFailedSet } from './failedset.ts'

export interface Sweep {
  /** Failed jobs recorded as dead letters, by what became of the job. */
  readonly removed: number
  readonly kept: number
}

export interface Sweeper {
  /** One round over what has failed since the last, and a piece of the rest (failedset.ts). Throws catalogued errors. */
  sweep(): Promise<Sweep>
}

interface SweeperParts {
  readonly stream: RedisConnection
  readonly queue: RedisConnection
  readonly placement: Placement
  readonly codec: Codec
  /** BullMQ's scripts where they are known; without them jobs are recorded and stay. */
  readonly scripts: BullScripts | undefined
}

interface FailedJob {
  readonly id: string
  readonly hash: string
  readonly finishedOn: string
  readonly reason: string
  readonly attempts: string
  readonly origin: string
  readonly firstSeen: string
  readonly redrives: string
  readonly payload: Buffer
}

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

  const capture = async ({ id, finishedOn, ...record }: FailedJob): Promise<number> => {
    if (placement.together) {
      const args = { id, finishedOn, maxDeadLetters, group, ...record }
      return (await captureJob(stream, { stream: place.stream, deadLetters, queue: queueKeys }, args)).outcome
    }
    if (!(await failedJobStands(queue, { queue: queueKeys }, { id, finishedOn })).stands) return 0
    const token = `${place.keys.prefix}captured:${record.hash}:${finishedOn}`
    const args = { maxDeadLetters, group, ...record, tokenTtlMs: target.windowMs }
    await recordJob(stream, { stream: place.stream, deadLetters, token }, args)
    return (await takeFailedJob(queue, { queue: queueKeys }, { id, finishedOn })).outcome
  }

  const readJob = async (id: string): Promise<FailedJob | undefined> => {
    const names = ['finishedOn', 'failedReason', 'atm', 'opts', 'data', 'timestamp', 'spCaptured'] as const
    const [finishedOn, reason, attempts, opts, data, timestamp, captured] = await queue.hmget(queueKeys + id, ...names)
    if (!finishedOn || captured === finishedOn) return undefined
    const sp = originOf(opts)
    return {
      id,
      hash: id.slice(idPrefix.length),
      finishedOn,
      reason: reason ?? '',
      attempts: attempts ?? '0',
      origin: sp.origin,
      firstSeen: sp.origin.split('-')[0] || (timestamp ?? '0'),
      redrives: sp.redrives,
      payload: payloadOf(codec, data),
    }
  }

  return {
    async sweep() {
      let removed = 0
      let kept = 0
      try {
        await failed.round(async (id) => {
          const job = await readJob(id)
          const outcome = job === undefined ? 0 : await capture(job)
          if (outcome === 1) removed += 1
          else if (outcome === 2) kept += 1
        })
      } catch (thrown) {
        // No room for more records: the jobs stay where they are, and come again.
        if (replyCode(thrown) !== 'FULL') throw failureOn(queue, thrown)
      }
      return { removed, kept }
    },
  }
}

/** What the forwarder wrote into the job's options, as strings: numbers lose precision on their way through Lua. */
function originOf(opts: string | null | undefined): { origin: string; redrives: string } {
  const sp = member(parsed(opts), 'sp')
  const text = (name: string) => {
    const value = member(sp, name)
    return typeof value === 'string' ? value : ''
  }
  const origin = text('id')
  return { origin: /^\d+-\d+$/.test(origin) ? origin : '', redrives: text('redrives') || '0' }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}

/** The payload as an entry's fields again, for when the entry itself is no longer in the stream. */
function payloadOf(codec: Codec, data: string | null | undefined): Buffer {
  const value = parsed(data)
  const fit = typeof value === 'object' && value !== null && !Array.isArray(value)
  return Buffer.from(encode(fit ? codec.restore(value) : ['payload', data ?? '']))
}

/** Undefined for what is no JSON: somebody wrote into the hash of one of our jobs, and the record must still be made. */
function parsed(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? '{}')
  } catch {
    return undefined
  }
}
