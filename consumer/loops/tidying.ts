/**
 * The tidying loop: rounds of retention, and beside them the sweep of failed jobs.
 *
 *   resting ──due, or entries were settled during a long rest──▶ retaining ──▶ waiting shortly for a sweep under way ──▶ resting
 *
 * A sweep of thousands of jobs takes longer than retention may wait. It goes on beside later rounds, one of which brings its report.
 * Each turn of the loop rests, also during an outage: a turn without a wait would starve the process.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import type { RedisConnection } from '../../redis/connect/connection.ts'
import type { Sweeper } from '../../redis/deadletters/capture.ts'
import type { StreamPlace } from '../../redis/placement.ts'
import { retireVanished } from '../../redis/stream/registry.ts'
import { guarded } from '../backendfailure.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { createRounds, type MaintenanceReport, maintain, mayRetain, type SweepReport, sweepOnce } from '../maintenance.ts'
import { isReady } from '../states.ts'

/** How often a resting consumer checks whether it has settled entries. */
const checkMs = 1_000
/** How long a round waits for its sweep. */
const sweepingMs = 300

export interface TidyingParts {
  readonly pipeline: CompiledPipeline
  readonly connection: RedisConnection
  readonly place: StreamPlace
  readonly lifecycle: Lifecycle
  readonly clock: Pick<Clock, 'now' | 'random' | 'after'>
  /** Undefined with `failedJobs: Leave`. */
  readonly sweeper: Sweeper | undefined
  /** Entries that this consumer has settled so far. */
  readonly settled: () => number
  readonly report: (report: MaintenanceReport) => void
}

export async function tidying(parts: TidyingParts): Promise<void> {
  const { lifecycle, clock, settled } = parts
  const { draining } = lifecycle
  const rounds = createRounds(parts.pipeline, clock.now())
  const round = createRound(parts, rounds)
  // The first round comes at once: it reports at start what keeps the stream from being trimmed.
  let dueMs = clock.now()
  while (!draining.aborted) {
    const isRested = clock.now() >= dueMs || (rounds.waitMs > checkMs && rounds.hasSettled(settled()))
    if (!isRested || !mayRetain(lifecycle.state)) {
      const leftMs = dueMs - clock.now()
      await pause(leftMs > 0 ? Math.min(checkMs, leftMs) : checkMs, draining, clock.after)
      continue
    }
    await guarded(lifecycle, round)
    const waitMs = rounds.jitteredMs(clock.random())
    dueMs = clock.now() + waitMs
    await pause(Math.min(checkMs, waitMs), draining, clock.after)
  }
}

/** One round. It throws catalogued errors, after its report. */
function createRound(parts: TidyingParts, rounds: ReturnType<typeof createRounds>): () => Promise<void> {
  const { pipeline, connection, place, lifecycle, clock, sweeper, settled } = parts
  let sweeping: Promise<SweepReport> | undefined
  return async () => {
    if (sweeper !== undefined && isReady(lifecycle.state) && rounds.isSweepDue(clock.now())) sweeping ??= sweepOnce(sweeper)
    const retained = await maintain(pipeline, connection, place, undefined, lifecycle.draining)
    const swept = sweeping && (await Promise.race([sweeping, briefly(parts)]))
    if (swept !== undefined) sweeping = undefined
    const report = { ...retained, ...swept }
    rounds.done(report, swept !== undefined, settled(), clock.now())
    parts.report(report)
    if (report.failure !== undefined) throw report.failure
    if (!rounds.isRetiringDue(clock.now())) return
    await retireVanished(connection, place)
    rounds.retired(clock.now())
  }
}

async function briefly({ lifecycle, clock }: TidyingParts): Promise<undefined> {
  await pause(sweepingMs, lifecycle.draining, clock.after)
  return undefined
}
