/**
 * The families of the consumer's metrics. Label values are bounded and present from the start with 0, so that a rate over a rare reason
 * does not begin with a gap.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { errorCatalogue } from '../api/errors.ts'
import type { AddWay } from '../redis/bullmq/specialisedadd.ts'
import { deadLetterReasons } from '../redis/record.ts'
import type { PathKind } from '../redis/settle/path.ts'
import type { Pin } from '../redis/stream/retention.ts'
import type { SettledOutcome } from './settler.ts'

export const outcomes = ['forwarded', 'duplicate', 'dead', 'gone'] as const satisfies readonly SettledOutcome[]

const paths = ['Atomic', 'Split', 'Portable'] as const satisfies readonly PathKind[]

const addWays = ['Specialised', 'BullMQ'] as const satisfies readonly AddWay[]

export const pinKinds = ['pending', 'unread'] as const satisfies readonly Pin['kind'][]

/** How Redis refuses: a first refusal counts only where there was a 0 before. */
const refusals = Object.entries(errorCatalogue)
  .filter(([code]) => code.startsWith('Redis'))
  .map(([, { reason }]) => reason)

/** Of the process: whether it lives, can work, and in which way it forwards. */
export function stateFamilies(registry: Registry) {
  const registers = [registry]
  const families = {
    heartbeat: new Gauge({
      name: 'stream_consumer_heartbeat_timestamp_seconds',
      help: 'Time of the last heartbeat that reached Redis, by the clock of Redis.',
      registers,
    }),
    failures: new Counter({
      name: 'stream_consumer_failures_total',
      help: 'Failures of Redis that the consumer met: refused commands and lost connections, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    backpressured: new Gauge({
      name: 'stream_consumer_backpressured',
      help: '1 while the consumer does not read, since sink.bullmq.maxWaiting jobs wait in the queue; else 0.',
      registers,
    }),
    forwardPath: new Gauge({
      name: 'stream_consumer_forward_path',
      help: '1 for the path in use (Atomic, Split or Portable); 0 for the others.',
      labelNames: ['path'],
      registers,
    }),
    jobAdd: new Gauge({
      name: 'stream_consumer_job_add',
      help: '1 for how the consumer adds jobs: many at once (Specialised), or one by one with BullMQ’s own script (BullMQ). 0 for the other.',
      labelNames: ['way'],
      registers,
    }),
  }
  for (const reason of refusals) families.failures.inc({ reason }, 0)
  for (const path of paths) families.forwardPath.set({ path }, 0)
  for (const way of addWays) families.jobAdd.set({ way }, 0)
  return families
}

/** Of entries on their way. */
export function settlingFamilies(registry: Registry) {
  const registers = [registry]
  const families = {
    settled: new Counter({
      name: 'stream_consumer_settled_total',
      help: 'Settled entries, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    entries: new Counter({
      name: 'stream_consumer_entries_total',
      help: 'Settled entries whose id begins with a time, as generated ids do. Other ids show no age.',
      registers,
    }),
    late: new Counter({
      name: 'stream_consumer_late_entries_total',
      help: 'Of stream_consumer_entries_total, entries that were settled later than scaling.targetAge after their XADD.',
      registers,
    }),
    reclaimed: new Counter({
      name: 'stream_consumer_reclaimed_total',
      help: 'Pending entries that this consumer claimed for another attempt, its own included.',
      registers,
    }),
    deadLetters: new Counter({
      name: 'stream_consumer_dead_letters_total',
      help: 'Dead letters written, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    duration: new Histogram({
      name: 'stream_consumer_settle_duration_seconds',
      help: 'Time that the consumer takes to settle a batch.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    unconfirmed: new Counter({
      name: 'stream_consumer_unconfirmed_batches_total',
      help: 'Batches that were acknowledged without the confirmation of a replica, although the queue’s Redis has or had replicas.',
      registers,
    }),
  }
  for (const outcome of outcomes) families.settled.inc({ outcome }, 0)
  for (const reason of deadLetterReasons) families.deadLetters.inc({ reason }, 0)
  return families
}

/** Of the stream: trimmed and missing entries. */
export function streamFamilies(registry: Registry) {
  const registers = [registry]
  const families = {
    retained: new Counter({
      name: 'stream_consumer_trimmed_total',
      help: 'Entries that this consumer trimmed: settled by every group and older than source.retention.settledFor, or over source.retention.maxEntries.',
      labelNames: ['why'],
      registers,
    }),
    pinned: new Gauge({
      name: 'stream_consumer_retention_pinned_seconds',
      help: 'Time for which one pending or unread entry has held up retention. That entry and all later ones stay in the stream. 0 without such an entry.',
      labelNames: ['why'],
      registers,
    }),
    unaccounted: new Gauge({
      name: 'stream_consumer_unaccounted_entries',
      help: 'Upper bound of the entries that other programs took from the group and that are still in the stream.',
      registers,
    }),
    undecided: new Gauge({
      name: 'stream_consumer_undecided_entries',
      help: 'Entries that were either trimmed unread or taken by other programs. Their counts do not show which.',
      registers,
    }),
  }
  for (const why of pinKinds) families.pinned.set({ why }, 0)
  return families
}
