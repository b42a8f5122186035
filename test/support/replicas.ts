/** Replication as the primary sees it. */
import type { Redis } from 'ioredis'
import { eventually } from './wait.ts'

/**
 * Resolves when the primary counts a replica. The replica calls its link up earlier: after a sync without a file the primary waits for its
 * first answer. Until then WAIT and ROLE know no replica.
 */
export const replicaOnline = async (primary: Redis): Promise<void> => {
  await eventually(async () => /^slave0:.*\bstate=online\b/m.test(await primary.info('replication')), { timeoutMs: 60_000 })
}
