/**
 * The blocking reader: XREADGROUP on a connection of its own, one read at a time, each asking for no more than there is room
 * for. Sizes are not known before an entry is here, so the count of the next read follows the mean size of the last ones: a
 * batch stays near `batchBytes` even when entries grow.
 *
 * A socket that died silently would hold the read for ever, and what is delivered into it is lost to us until reclaim. A read
 * that is overdue therefore gets a new connection, on which ioredis asks again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CompiledSource } from '../api/compiled.ts'
import { failureOn, type RedisConnection } from '../redis/connect/connection.ts'
import { addressOf, nodeAt, nodeOf } from '../redis/connect/node.ts'
import type { Delivery } from '../redis/stream/pending.ts'

interface Reader {
  /** New entries, delivered for the first time; empty when the block ended without any. Throws catalogued errors. */
  read(): Promise<readonly Delivery[]>
  /** Ends a read that is blocking now, if it can be done at once; the next may begin. Throws when Redis cannot be asked. */
  wake(): Promise<void>
  /**
   * Ends a read that is blocking now, without losing a reply, and lets none begin. Resolves when no read is under way; throws
   * when Redis cannot be asked to end it.
   */
  stop(): Promise<void>
}

/** How much longer than its block a read may take. */
const overdueMs = 10_000
/** A read may be on its way to the server when it is to be ended: the server is asked until it is. */
const askAgainMs = 50

/**
 * @param blocking the connection that blocks
 * @param writer another one, to unblock it with
 */
export function createReader(
  blocking: RedisConnection,
  writer: RedisConnection,
  source: CompiledSource,
  consumer: string,
): Reader {
  let meanBytes = 0
  let blockedAs: { readonly id: string; readonly node: string } | undefined
  let stopped = false
  let underWay: Promise<unknown> | undefined

  const countNow = () => {
    if (meanBytes === 0) return Math.min(source.batchSize, 16)
    return Math.max(1, Math.min(source.batchSize, Math.floor(source.batchBytes / meanBytes)))
  }

  const readOnce = async () => {
    const { group, blockMs, stream } = source
    const renew = setInterval(() => {
      if (blocking.status === 'ready') blocking.disconnect(true)
    }, blockMs + overdueMs)
    try {
      const node = await nodeOf(blocking, stream)
      // Both in one round trip: the id is known before the read can end.
      const know = (id: unknown) => {
        blockedAs = { id: String(id), node: addressOf(node) }
      }
      node.call('CLIENT', 'ID').then(know, ignoreReadFailure)
      const count = ['COUNT', countNow(), 'BLOCK', blockMs] as const
      const reply: unknown = await blocking.xreadgroupBuffer('GROUP', group, consumer, ...count, 'STREAMS', stream, '>')
      const entries = entriesOf(reply)
      meanBytes = nextMean(meanBytes, entries)
      return entries
    } catch (thrown) {
      throw failureOn(blocking, thrown)
    } finally {
      clearInterval(renew)
      blockedAs = undefined
    }
  }

  const wake = async () => {
    if (blockedAs === undefined) return
    try {
      // On no other node: there somebody else may bear that number.
      await nodeAt(writer, blockedAs.node)?.call('CLIENT', 'UNBLOCK', blockedAs.id)
    } catch (thrown) {
      throw failureOn(writer, thrown)
    }
  }

  return {
    wake,
    async read() {
      if (stopped) return []
      const reading = readOnce()
      underWay = reading
      try {
        return await reading
      } finally {
        underWay = undefined
      }
    },
    async stop() {
      stopped = true
      while (underWay !== undefined) {
        await wake()
        await Promise.race([underWay?.catch(ignoreReadFailure), sleep(askAgainMs, undefined, { ref: false })])
      }
    },
  }
}

/** Whoever reads hears of it. */
function ignoreReadFailure() {}

/** [[stream, [[id, [field, value, …]], …]]], or null when the block ended. */
function entriesOf(reply: unknown): readonly Delivery[] {
  const entries: unknown = Array.isArray(reply) && Array.isArray(reply[0]) ? reply[0][1] : []
  if (!Array.isArray(entries)) return []
  return entries.flatMap((entry: unknown) => {
    const [id, fields] = Array.isArray(entry) ? entry : []
    return [{ id: String(id), fields: Array.isArray(fields) ? (fields as Buffer[]) : [], deliveries: 1 }]
  })
}

/** Follows growth at once and shrinkage slowly: too small a read costs little, too large a one costs memory. */
function nextMean(mean: number, entries: readonly Delivery[]): number {
  if (entries.length === 0) return mean
  const bytes = entries.reduce((sum, { fields }) => sum + fields.reduce((inner, part) => inner + part.length, 0), 0)
  const latest = bytes / entries.length
  return latest > mean ? latest : mean * 0.8 + latest * 0.2
}
