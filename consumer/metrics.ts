/** The consumer's metrics: an observer of the consumer that counts into metric families. */
import { collectDefaultMetrics, Registry } from 'prom-client'
import { collectMemoryLimit } from '../process/memorylimit.ts'
import { outcomes, pinKinds, settlingFamilies, stateFamilies, streamFamilies } from './metricfamilies.ts'
import type { ConsumerObserver } from './parts.ts'

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
  const { heartbeat, failures, backpressured, forwardPath, jobAdd } = stateFamilies(registry)
  const { settled, entries, late, reclaimed, deadLetters, duration, unconfirmed } = settlingFamilies(registry)
  const { retained, pinned, unaccounted, undecided } = streamFamilies(registry)
  /** By how much Redis' clock is ahead of this process'. */
  let aheadOfUsMs = 0
  const countAges = (ids: readonly string[]) => {
    const now = Date.now() + aheadOfUsMs
    const times = ids.map((id) => Number.parseInt(id, 10)).filter((time) => time >= firstTimeMs && time <= now + aheadMs)
    const oldest = now - targetAgeMs()
    entries.inc(times.length)
    late.inc(times.filter((time) => time < oldest).length)
  }

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
      maintained({ settled: trimmed, cut, removed, kept, pin, ...missing }) {
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
