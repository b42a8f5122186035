/**
 * Every consumer's periodic work beside moving entries: retention with its ledger, and the sweep of failed jobs. No consumer leads.
 * Several consumers may run both at once: their scripts find nothing left to do where another consumer was first.
 *
 * Retention runs each second while it has work: it trimmed entries, entries were settled, or `maxEntries` bounds the stream, which may grow
 * without readers. Otherwise it rests for longer and longer, until an entry is settled. Once an hour it removes names that local processes
 * left behind.
 */

import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { Sweep, Sweeper } from '../redis/deadletters/capture.ts'
import type { StreamPlace } from '../redis/placement.ts'
import { type RetentionReport, retainEntries } from '../redis/stream/retention.ts'
import type { ConsumerState } from './states.ts'

/** Between two rounds of one consumer where there is nothing to do; jittered. */
const maintenanceIntervalMs = 10_000
const busyIntervalMs = 1_000
const retiringIntervalMs = 3_600_000

export interface MaintenanceReport extends RetentionReport, Sweep {
  /** Why the round ended early. The numbers count the work before that. */
  readonly failure?: StreamPipelineError
}

/**
 * One round. Throws catalogued errors where nothing was done.
 * @param sweeper undefined with `failedJobs: Leave`, or while no sweep is due
 */
export async function maintain(
  { source }: CompiledPipeline,
  connection: RedisConnection,
  place: StreamPlace,
  sweeper: Sweeper | undefined,
  signal?: AbortSignal,
): Promise<MaintenanceReport> {
  const retained = await retainEntries(connection, place, source.retention, signal)
  if (retained.failure !== undefined || sweeper === undefined) return { ...retained, removed: 0, kept: 0 }
  return { ...retained, ...(await sweepOnce(sweeper)) }
}

/** A sweep's report, with its counts also where Redis ended it early. */
export type SweepReport = Sweep & Pick<MaintenanceReport, 'failure'>

export async function sweepOnce(sweeper: Sweeper): Promise<SweepReport> {
  const swept = { removed: 0, kept: 0 }
  try {
    const { foreign } = await sweeper.sweep((outcome) => {
      swept[outcome] += 1
    })
    return { ...swept, ...(foreign && { foreign }) }
  } catch (thrown) {
    return { ...swept, failure: asFailure(thrown) }
  }
}

/** When the next round comes, and whether it sweeps. */
interface Rounds {
  /** Until the next round, without jitter. */
  readonly waitMs: number
  /**
   * Time until the next round. With work it is at most a second, so the stream holds settled entries for `settledFor` and a second.
   * @param random 0 to 1
   */
  jitteredMs(random: number): number
  /** Entries have been settled since the last round. @param settled total so far */
  hasSettled(settled: number): boolean
  isSweepDue(nowMs: number): boolean
  /** Whether it is time to look for names of processes that ended long ago. */
  isRetiringDue(nowMs: number): boolean
  retired(nowMs: number): void
  /** @param settled entries that this consumer has settled so far */
  done(
    report: Pick<MaintenanceReport, 'settled' | 'cut' | 'removed' | 'kept'>,
    swept: boolean,
    settled: number,
    nowMs: number,
  ): void
}

export function createRounds({ source }: CompiledPipeline, nowMs: number): Rounds {
  const bounded = source.retention.maxEntries !== undefined
  let waitMs = bounded ? busyIntervalMs : maintenanceIntervalMs
  let [sweptAtMs, settledBefore] = [nowMs, 0]
  // The first round looks: a consumer that is started by hand may not live for an hour.
  let retiredAtMs = Number.NEGATIVE_INFINITY
  return {
    get waitMs() {
      return waitMs
    },
    jitteredMs: (random) => waitMs * (waitMs > busyIntervalMs ? 0.8 + 0.4 * random : 0.6 + 0.4 * random),
    hasSettled: (settled) => settled > settledBefore,
    // Rounds are jittered: a sweep that is nearly due is not put off by another round.
    isSweepDue: (now) => now - sweptAtMs >= maintenanceIntervalMs * 0.8,
    isRetiringDue: (now) => now - retiredAtMs >= retiringIntervalMs,
    retired(now) {
      retiredAtMs = now
    },
    done({ settled: trimmed, cut, removed, kept }, swept, settled, now) {
      // A sweep is bounded. One that found something goes on with the next round: a flood of failed jobs is worked off.
      const found = removed + kept > 0
      if (swept) sweptAtMs = found ? Number.NEGATIVE_INFINITY : now
      const busy = bounded || found || trimmed + cut > 0 || settled > settledBefore
      waitMs = busy ? busyIntervalMs : Math.min(maintenanceIntervalMs, waitMs * 2)
      settledBefore = settled
    },
  }
}

/** Out of memory is when retention is needed most: trimming is what Redis still allows. */
export const mayRetain = (state: ConsumerState): boolean =>
  state.kind === 'Running' ||
  state.kind === 'Backpressured' ||
  (state.kind === 'BackendDown' && state.failure.code === 'RedisOutOfMemory')
