/**
 * What every consumer does now and then beside moving entries: retention with its ledger, and the sweep of failed jobs. Each
 * consumer does it, none leads: both are single scripts that find nothing left to do where another was first.
 */

import type { CompiledPipeline } from '../api/compiled.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { Sweep, Sweeper } from '../redis/deadletters/capture.ts'
import type { StreamPlace } from '../redis/placement.ts'
import { type RetentionReport, retainEntries } from '../redis/stream/retention.ts'

/** Between two rounds of one consumer; jittered. */
export const housekeepingIntervalMs = 10_000

export interface HousekeepingReport extends RetentionReport, Sweep {}

/** One round. @param sweeper undefined with `failedJobs: Leave`. Throws catalogued errors. */
export async function keepHouse(
  { source }: CompiledPipeline,
  connection: RedisConnection,
  place: StreamPlace,
  sweeper: Sweeper | undefined,
): Promise<HousekeepingReport> {
  const retained = await retainEntries(connection, place, source.retention)
  const swept = (await sweeper?.sweep()) ?? { removed: 0, kept: 0 }
  return { ...retained, ...swept }
}
