/**
 * The parts of Redis and of a consumer, in memory: the stream, marks of forwarded keys, the queue and the dead letters. Entries are
 * read, judged and named by the code that consumers use; only where they lie differs.
 */

import { type ForwardItem, jsonOf } from '../../redis/bullmq/item.ts'
import { headOf, jobOptionsOf } from '../../redis/bullmq/joboptions.ts'
import { jobId } from '../../redis/keys.ts'
import type { ForwardTarget } from '../../redis/placement.ts'
import type { RequestRef } from '../../redis/status/request.ts'
import { cancelledMark, type Gathered } from '../../redis/status/summary.ts'
import type { Plan } from '../plan.ts'
import { createDeadLetters, type TestDeadLetter } from './deadletters.ts'
import { createEntries, entryStatusOf, type StoredEntry } from './entries.ts'
import { createMarks } from './marks.ts'
import { createTestQueue, jobStatusOf, type StoredJob, type TestQueue } from './queue.ts'

export interface Backend {
  readonly queue: TestQueue
  readonly deadLetters: readonly TestDeadLetter[]
  /** Adds an entry; returns its id. */
  append(flat: readonly string[]): string
  /** Forwards as a consumer or a direct dispatch does. */
  forward(item: ForwardItem): 'forwarded' | 'duplicate'
  /** Settles what is unread. */
  consume(): Consumed
  /** Makes a dead letter of a job that BullMQ gave up. */
  capture(job: StoredJob): void
  /** Puts the entry of a dead letter back into the stream. */
  replay(id: string): TestReplay
  /** Marks the key as cancelled, and removes its job. Of a key whose job has ended, within the window, it changes nothing. */
  cancel(hash: string): 'cancelled' | 'ended'
  /** The traces of a request: entry, job, dead letter. @param scanned how many of the newest entries and dead letters are searched */
  gather(ref: RequestRef, scanned: number): Gathered
}

/** What a replay did. */
export type TestReplay =
  | { readonly outcome: 'replayed' /** Id of the new entry. */; readonly entry: string }
  /** No such dead letter any more. */
  | { readonly outcome: 'gone' }
  /** A job of its key waits or runs; the dead letter stays. */
  | { readonly outcome: 'busy'; readonly jobId: string }

interface Consumed {
  readonly forwarded: number
  readonly duplicates: number
  readonly dead: number
}

export function createBackend(plan: Plan, target: ForwardTarget, now: () => number): Backend {
  const { codec } = plan
  const { scope } = target.keys
  const queue = createTestQueue(now)
  const entries = createEntries(plan, now)
  const letters = createDeadLetters(now)
  const marks = createMarks(target.windowMs, now)

  /** A job that stands for a mark that is gone; one that ended longer ago than the window makes way. */
  function stands(hash: string, job: StoredJob): boolean {
    const isFinished = job.finishedAt !== undefined && (job.state === 'Completed' || job.state === 'Failed')
    const remainingMs = (isFinished ? (job.finishedAt ?? 0) : job.addedAt) + target.windowMs - now()
    if (isFinished && remainingMs <= 0) {
      queue.remove(job.id)
      return false
    }
    marks.set(hash, 'direct', Math.max(1_000, remainingMs))
    return true
  }

  function forward(item: ForwardItem): 'forwarded' | 'duplicate' {
    const { hash, json } = item
    const id = jobId(scope, hash)
    const job = queue.jobs.get(id)
    if (marks.of(hash) !== undefined || (job !== undefined && stands(hash, job))) return 'duplicate'
    const { name, timestamp } = headOf(target, item, now())
    queue.add({ id, name, json: json.toString(), opts: jobOptionsOf(target, item, id) }, timestamp)
    marks.set(hash, item.origin ?? 'direct')
    return 'forwarded'
  }

  function settle({ id, flat }: StoredEntry): 'forwarded' | 'duplicate' | 'dead' {
    const decoded = codec.decode(flat)
    if (decoded.kind === 'Invalid') {
      const { reason, error, redrives } = decoded
      letters.add({ reason, error, entry: id, key: '', deliveries: 1, redrives }, flat)
      return 'dead'
    }
    const { hash, data, trace, metadata, asked, redrives } = decoded
    const beside = { ...(metadata === undefined ? {} : { metadata }), ...(asked === undefined ? {} : { asked }) }
    return forward({ hash, json: jsonOf(data), trace, origin: id, redrives, ...beside })
  }

  return {
    queue,
    deadLetters: letters.all,
    append: entries.append,
    forward,
    consume() {
      const counts = { forwarded: 0, duplicates: 0, dead: 0 }
      for (const entry of entries.unread()) {
        const outcome = settle(entry)
        entry.state = 'Settled'
        counts[outcome === 'duplicate' ? 'duplicates' : outcome] += 1
      }
      return counts
    },
    capture(job) {
      const { entry = '', redrives } = jobStatusOf(job)
      const flat = entries.find(entry)?.flat ?? codec.restore(JSON.parse(job.json)).map((text) => Buffer.from(text))
      const key = job.id.slice(jobId(scope, '').length)
      const { attemptsMade: deliveries, error = '' } = job
      letters.add({ reason: 'JobFailed', error, entry, key, deliveries, redrives }, flat)
      queue.remove(job.id)
    },
    replay: (id) => replayIn({ scope, queue, entries, letters, marks }, id),
    cancel(hash) {
      const id = jobId(scope, hash)
      const job = queue.jobs.get(id)
      const mark = marks.of(hash)
      const hasEnded = job === undefined || job.finishedAt !== undefined
      if (mark !== undefined && mark.origin !== cancelledMark && hasEnded) return 'ended'
      queue.remove(id)
      marks.set(hash, cancelledMark)
      return 'cancelled'
    },
    gather(ref, scanned) {
      const byId = entries.find(ref.entry)
      const hash = (byId && entries.hashOf(byId)) ?? ref.hash
      const held = hash === undefined ? undefined : marks.of(hash)
      const job = hash === undefined ? undefined : queue.jobs.get(jobId(scope, hash))
      const dead = letters.of(hash, ref.entry)
      const entry = byId ?? entries.find(held?.origin)
      const look = {
        ...(held === undefined ? {} : { mark: held.origin, forwardedAt: held.until - target.windowMs }),
        ...(job === undefined ? {} : { job: jobStatusOf(job) }),
      }
      const isTraced = entry !== undefined || held !== undefined || job !== undefined || dead.length > 0
      const found = entry ?? (isTraced || hash === undefined ? undefined : entries.search(hash, scanned))
      return { hash, entry: found && entryStatusOf(found), queue: look, dead }
    },
  }
}

interface Held {
  readonly scope: string
  readonly queue: TestQueue
  readonly entries: ReturnType<typeof createEntries>
  readonly letters: ReturnType<typeof createDeadLetters>
  readonly marks: ReturnType<typeof createMarks>
}

/** As replayDeadLetter.lua: a job that is not finished stands in the way, and a finished one goes with the mark. */
function replayIn({ scope, queue, entries, letters, marks }: Held, id: string): TestReplay {
  const found = letters.find(id)
  if (found === undefined) return { outcome: 'gone' }
  const { key } = found.letter
  const job = key === '' ? undefined : queue.jobs.get(jobId(scope, key))
  if (job !== undefined && job.state !== 'Completed' && job.state !== 'Failed') return { outcome: 'busy', jobId: job.id }
  if (job !== undefined) queue.remove(job.id)
  if (key !== '') marks.remove(key)
  letters.remove(id)
  return { outcome: 'replayed', entry: entries.append(found.flat) }
}
