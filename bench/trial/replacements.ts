/** Consumers replaced by the thousand under a running operator, on a real API server and a real Redis: no name may stay. */
import { startCluster, startOperator } from '../../test/operator/cluster.ts'
import { type ReplacementsResult, tryReplacements } from '../../test/operator/replacements.ts'
import { startRedis } from '../../test/support/redis.ts'
import type { Scope } from '../../test/support/scope.ts'

interface ReplacementsTrialResult extends ReplacementsResult {
  readonly ok: boolean
  readonly seconds: number
}

export async function tryManyReplacements(
  scope: Scope,
  replacements: number,
  progress: (line: string) => void,
): Promise<ReplacementsTrialResult> {
  const begun = performance.now()
  const [cluster, redis] = await Promise.all([startCluster(scope), startRedis(scope)])
  await cluster.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } })
  await startOperator(scope, cluster)
  const result = await tryReplacements(cluster, redis.client(), {
    name: 'replaced',
    redisUrl: redis.url,
    replacements,
    onWave: (replaced) => {
      if (replaced % 500 === 0) progress(`${replaced} of ${replacements} replaced`)
    },
  })
  return { ok: true, ...result, seconds: Math.round((performance.now() - begun) / 1_000) }
}
