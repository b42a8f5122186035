/**
 * The consumer's metrics. Label values are bounded and present from the start with 0, so that a rate over a rare reason does not
 * begin with a gap.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { errorCatalogue } from '../api/errors.ts'
import { collectMemoryLimit } from '../process/memorylimit.ts'
import type { AddWay } from '../redis/bullmq/specialisedadd.ts'
import { deadLetterReasons } from '../redis/record.ts'
import type { PathKind } from '../redis/settle/path.ts'
import type { Pin } from '../redis/stream/retention.ts'
import type { ConsumerObserver } from './parts.ts'
import type { SettledOutcome } from './settler.ts'

const outcomes = ['forwarded', 'duplicate', 'dead', 'gone'] as const satisfies readonly SettledOutcome[]

const paths = ['Atomic', 'Split', 'Portable'] as const satisfies readonly PathKind[]

const addWays = ['Specialised', 'BullMQ'] as const satisfies readonly AddWay[]

const pinKinds = ['pending', 'unread'] as const satisfies readonly Pin['kind'][]

/** How Redis refuses: a first refusal counts only where there was a 0 before. */
const refusals = Object.entries(errorCatalogue)
  .filter(([code]) => code.startsWith('Redis'))
  .map(([, { reason }]) => reason)

interface ConsumerMetrics {
  readonly registry: Registry
  readonly observer: ConsumerObserver
}

/** Ids before 2001, or of tomorrow, are no times. */
const firstTimeMs = 1e12
const aheadMs = 86_400_000

/** @param targetAgeMs entries that are settled later than this after they were added count as late */
export function createConsumerMetrics(
  pipeline: { readonly namespace: string; readonly name: string },
  targetAgeMs: () => number = () => Number.POSITIVE_INFINITY,
): ConsumerMetrics {
  const registry = new Registry()
  registry.setDefaultLabels({ namespace: pipeline.namespace, pipeline: pipeline.name })
  collectDefaultMetrics({ register: registry })
  collectMemoryLimit(registry)
  const registers = [registry]
  const heartbeat = new Gauge({
    name: 'stream_consumer_heartbeat_timestamp_seconds',
    help: 'Time of the last heartbeat that reached Redis, by its clock.',
    registers,
  })
  const failures = new Counter({
    name: 'stream_consumer_failures_total',
    help: 'Times the consumer met a backend that refused it, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const settled = new Counter({
    name: 'stream_consumer_settled_total',
    help: 'Entries settled, by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const entries = new Counter({
    name: 'stream_consumer_entries_total',
    help: 'Entries settled whose ids are times.',
    registers,
  })
  const late = new Counter({
    name: 'stream_consumer_late_entries_total',
    help: 'Of these, entries that were settled later than scaling.targetAge after they were added.',
    registers,
  })
  /** By how much Redis' clock is ahead of this process'. */
  let aheadOfUsMs = 0
  const countAges = (ids: readonly string[]) => {
    const now = Date.now() + aheadOfUsMs
    const times = ids.map((id) => Number.parseInt(id, 10)).filter((time) => time >= firstTimeMs && time <= now + aheadMs)
    const oldest = now - targetAgeMs()
    entries.inc(times.length)
    late.inc(times.filter((time) => time < oldest).length)
  }
  const reclaimed = new Counter({
    name: 'stream_consumer_reclaimed_total',
    help: 'Entries taken over from consumers that left them.',
    registers,
  })
  const deadLetters = new Counter({
    name: 'stream_consumer_dead_letters_total',
    help: 'Dead letters written, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const duration = new Histogram({
    name: 'stream_consumer_settle_duration_seconds',
    help: 'Time from taking a batch up to having settled it.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  const retained = new Counter({
    name: 'stream_consumer_trimmed_total',
    help: 'Entries trimmed from the stream by this consumer: settled long enough ago, or over source.retention.maxEntries.',
    labelNames: ['why'],
    registers,
  })
  const pinned = new Gauge({
    name: 'stream_consumer_retention_pinned_seconds',
    help: 'For how long one and the same entry, pending or unread in a group, has kept older ones in the stream; 0 without one.',
    labelNames: ['why'],
    registers,
  })
  const unaccounted = new Gauge({
    name: 'stream_consumer_unaccounted_entries',
    help: 'Entries that others took from the group and that are still in the stream, at most.',
    registers,
  })
  const undecided = new Gauge({
    name: 'stream_consumer_undecided_entries',
    help: 'Entries that were trimmed unread or taken by others; counts cannot tell which.',
    registers,
  })
  const backpressured = new Gauge({
    name: 'stream_consumer_backpressured',
    help: '1 while reading stops, since more jobs wait in the queue than sink.bullmq.maxWaiting; else 0.',
    registers,
  })
  const forwardPath = new Gauge({
    name: 'stream_consumer_forward_path',
    help: '1 for the way of forwarding in use.',
    labelNames: ['path'],
    registers,
  })
  const jobAdd = new Gauge({
    name: 'stream_consumer_job_add',
    help: '1 for the way of adding jobs in use: once for many (Specialised), or one by one by BullMQ’s own script (BullMQ).',
    labelNames: ['way'],
    registers,
  })
  const unconfirmed = new Counter({
    name: 'stream_consumer_unconfirmed_batches_total',
    help: 'Batches acknowledged although no replica of the queue’s Redis confirmed them, where it has or had replicas.',
    registers,
  })
  for (const outcome of outcomes) settled.inc({ outcome }, 0)
  for (const reason of refusals) failures.inc({ reason }, 0)
  for (const reason of deadLetterReasons) deadLetters.inc({ reason }, 0)
  for (const path of paths) forwardPath.set({ path }, 0)
  for (const way of addWays) jobAdd.set({ way }, 0)
  for (const why of pinKinds) pinned.set({ why }, 0)

  return {
    registry,
    observer: {
      stateChanged(state) {
        backpressured.set(state.kind === 'Backpressured' ? 1 : 0)
        if (state.kind === 'BackendDown') failures.inc({ reason: state.failure.reason })
      },
      pathChosen(kind, _, add) {
        forwardPath.set({ path: kind }, 1)
        jobAdd.set({ way: add?.way ?? 'BullMQ' }, 1)
      },
      confirmationChanged() {},
      unconfirmed: () => unconfirmed.inc(),
      groupMade() {},
      batchSettled(report) {
        for (const outcome of outcomes) if (report.outcomes[outcome] > 0) settled.inc({ outcome }, report.outcomes[outcome])
        for (const { reason } of report.dead) deadLetters.inc({ reason })
        duration.observe(report.durationMs / 1000)
        countAges(report.settled)
      },
      reclaimed(round) {
        reclaimed.inc(round.claimed)
        if (round.trimmed > 0) deadLetters.inc({ reason: 'Trimmed' }, round.trimmed)
        if (round.exhausted.length > 0) {
          deadLetters.inc({ reason: 'MaxDeliveries' }, round.exhausted.length)
          settled.inc({ outcome: 'dead' }, round.exhausted.length)
        }
      },
      heartbeatSent(atMs) {
        heartbeat.set(atMs / 1000)
        aheadOfUsMs = atMs - Date.now()
      },
      housekept({ settled: trimmed, cut, removed, kept, pin, ...missing }) {
        retained.inc({ why: 'settled' }, trimmed)
        retained.inc({ why: 'maxEntries' }, cut)
        for (const why of pinKinds) pinned.set({ why }, pin?.kind === why ? pin.forMs / 1000 : 0)
        unaccounted.set(missing.unaccounted)
        undecided.set(missing.undecided)
        if (removed + kept > 0) deadLetters.inc({ reason: 'JobFailed' }, removed + kept)
      },
      handedBack() {},
    },
  }
}
