/**
 * The consumer's own CPU time for an entry at full speed: the stream is filled before it starts. The time is taken between the
 * first and the last fifth of the jobs. That excludes the start, code that V8 has not compiled yet, and the last, small batches.
 */
import type { Bench } from '../forward/bench.ts'
import { startContender } from '../forward/contenders.ts'
import { untilQueued } from '../forward/measure.ts'
import { fill } from '../forward/sources.ts'
import type { PayloadKind } from '../forward/workload.ts'
import { processCpuMicroseconds } from '../support/processtime.ts'
import { createScope } from '../support/scope.ts'

/** @returns microseconds, all threads */
export async function consumerCpuPerEntry(bench: Bench, kind: PayloadKind, count: number): Promise<number> {
  const scope = createScope()
  try {
    const redis = bench.server.client()
    scope.after(() => redis.disconnect())
    await redis.flushall()
    await fill(bench.server, kind, 0, count)
    const input = { url: bench.server.url, payload: kind, count }
    const child = await startContender(scope, bench, 'streampipeline', input)
    const reading = async (share: number) => {
      const { jobs } = await untilQueued(redis, [child], count * share)
      return { jobs, cpu: await processCpuMicroseconds(child.pid) }
    }
    const first = await reading(0.2)
    const last = await reading(0.8)
    if (last.jobs === first.jobs) throw new Error(`${count} entries are too few: all were queued between two readings`)
    return (last.cpu - first.cpu) / (last.jobs - first.jobs)
  } finally {
    await scope.close()
  }
}
