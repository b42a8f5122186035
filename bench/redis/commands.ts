/**
 * How long a batch blocks a Redis: its longest single command by SLOWLOG, and the main thread's CPU time for an entry. SLOWLOG
 * lists the commands of a transaction one by one, so the transaction as a whole is measured apart.
 */
import type { Redis } from 'ioredis'
import type { PathKind } from '../../redis/settle/path.ts'
import { openPath } from '../../test/paths/fixture.ts'
import { startRedis } from '../../test/support/redis.ts'
import { entryFields } from '../forward/workload.ts'
import { mainThreadMicroseconds } from '../support/redisinfo.ts'
import { createScope } from '../support/scope.ts'
import { readEntries, settleEntries } from './settling.ts'

type Place = 'stream' | 'queue' | 'both'

export interface BatchCost {
  readonly path: PathKind
  /** The Redis of the stream or of the queue. One holds both, except on the split path. */
  readonly at: Place
  readonly batch: number
  readonly longestMs: number
  /** Mean time of this batch's MULTIs, in place of the longest, which is not measured; 0 without one. */
  readonly transactionMs: number
  /** NaN where the server does not count its main thread. */
  readonly cpuMicrosecondsPerEntry: number
}

/** SLOWLOG also lists commands inside scripts, which costs time. Hardly one of them takes this long. */
const loggedFromMicroseconds = 50

/** @returns one for each batch and each Redis; batches of every size take turns */
export async function batchCosts(kind: PathKind, sizes: readonly number[], rounds: number): Promise<readonly BatchCost[]> {
  const scope = createScope()
  try {
    const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
    const path = await openPath(scope, kind, { stream, queue }, { key: ['request_hash'] })
    const servers: readonly [Place, Redis][] =
      kind === 'Split'
        ? [
            ['stream', path.stream],
            ['queue', path.queueClient],
          ]
        : [['both', path.stream]]
    let index = 0
    const next = (count: number) => Array.from({ length: count }, () => entryFields('1KiB', index++))
    // Connections, scripts and code that V8 has not compiled yet.
    for (const size of sizes) await settleEntries(path, await readEntries(path, next(size)))
    const costs: BatchCost[] = []
    for (let round = 0; round < rounds; round++) {
      for (const batch of sizes) {
        const entries = await readEntries(path, next(batch))
        const meters = await Promise.all(servers.map(async ([at, redis]) => ({ at, read: await startMeter(redis) })))
        await settleEntries(path, entries)
        for (const { at, read } of meters) {
          const { cpuMicroseconds, ...found } = await read()
          costs.push({ path: kind, at, batch, ...found, cpuMicrosecondsPerEntry: cpuMicroseconds / batch })
        }
      }
    }
    return costs
  } finally {
    await scope.close()
  }
}

/** @returns a function for the server's work since this call */
async function startMeter(redis: Redis) {
  await redis.config('SET', 'slowlog-log-slower-than', loggedFromMicroseconds)
  await redis.config('SET', 'slowlog-max-len', 100_000)
  await redis.config('RESETSTAT')
  await redis.call('SLOWLOG', 'RESET')
  const before = mainThreadMicroseconds(await redis.info('cpu'))
  return async () => {
    const cpuMicroseconds = mainThreadMicroseconds(await redis.info('cpu')) - before
    const logged = (await redis.call('SLOWLOG', 'GET', '-1')) as readonly (readonly [id: number, at: number, took: number])[]
    const [, calls = 0, took = 0] = (/^cmdstat_exec:calls=(\d+),usec=(\d+)/m.exec(await redis.info('commandstats')) ?? []).map(
      Number,
    )
    return {
      cpuMicroseconds,
      longestMs: logged.reduce((most, [, , microseconds]) => Math.max(most, microseconds), 0) / 1_000,
      transactionMs: calls === 0 ? 0 : took / calls / 1_000,
    }
  }
}
