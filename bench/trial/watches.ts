/** Seeded runs of the operator's watches behind a misbehaving proxy, before a real API server. */
import { inspect } from 'node:util'
import { startCluster } from '../../test/operator/cluster.ts'
import { tryWatchFaults } from '../../test/operator/watchfaults.ts'
import type { Scope } from '../../test/support/scope.ts'

interface WatchesResult {
  readonly ok: boolean
  /** Of the first run; the others follow. */
  readonly seed: number
  readonly runs: number
  readonly failed: number
  readonly failedSeeds: readonly number[]
  readonly unhandledRejections: number
  readonly slowestMs: number
  readonly mostConnections: number
  readonly misdeeds: Readonly<Record<string, number>>
  readonly seconds: number
}

interface WatchesOptions {
  readonly runs: number
  readonly seed: number
  readonly progress: (line: string) => void
}

export async function tryWatches(scope: Scope, { runs, seed, progress }: WatchesOptions): Promise<WatchesResult> {
  const begun = performance.now()
  let unhandledRejections = 0
  const unhandled = (reason: unknown) => {
    unhandledRejections++
    progress(`unhandled: ${inspect(reason)}`)
  }
  process.on('unhandledRejection', unhandled)
  scope.after(() => void process.off('unhandledRejection', unhandled))
  const cluster = await startCluster(scope)
  let done = 0
  const { failures, misdeeds, slowestMs, mostConnections } = await tryWatchFaults(cluster, {
    runs,
    seed,
    limitMs: 5_000,
    onRun(runSeed, failure) {
      done++
      if (failure !== undefined) progress(`seed ${runSeed}: ${inspect(failure)}`)
      if (done % 50 === 0) progress(`${done} of ${runs} runs`)
    },
  })
  return {
    ok: failures.length === 0 && unhandledRejections === 0 && done === runs,
    seed,
    runs: done,
    failed: failures.length,
    failedSeeds: failures.map((each) => each.seed),
    unhandledRejections,
    slowestMs,
    mostConnections,
    misdeeds,
    seconds: Math.round((performance.now() - begun) / 1_000),
  }
}
