/**
 * The blocking reader: XREADGROUP on a connection of its own, one read at a time, each for as many entries as there is room for.
 * The size of an entry is known only once it is here. So the count of the next read follows the mean size of the last entries: a
 * batch stays near `batchBytes` even when entries grow.
 *
 * A socket that died silently would hold the read for ever, and entries delivered into it reach us only when they are
 * regained (reclaimer.ts). A read that is overdue therefore gets a new connection, on which ioredis asks again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { CompiledSource } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { failureOn, type RedisConnection } from '../redis/connect/connection.ts'
import { addressOf, nodeAt, nodeOf } from '../redis/connect/node.ts'
import { isReadEntries, type ReadEntries } from '../redis/reply/entrysink.ts'
import { bytesOf } from '../redis/reply/fieldlist.ts'
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

/** The connection that a read blocks on; its end ends the read. */
interface Blocked {
  /** As CLIENT ID says. */
  readonly id: string
  readonly node: string
  readonly socket: Redis['stream']
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
  let blockedAs: Blocked | undefined
  /** The last connection that a read was sent on. A socket has one id for all its life. */
  let known: Blocked | undefined
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
      // A node has no socket before it connects, and has its old one after it lost its connection. In both cases ioredis sends
      // the read on another socket.
      if (known !== undefined && node.status === 'ready' && known.socket === node.stream) blockedAs = known
      else {
        // Both in one round trip: the id is known before the read can end.
        const know = (id: unknown) => {
          known = { id: String(id), node: addressOf(node), socket: node.stream }
          blockedAs = known
        }
        node.call('CLIENT', 'ID').then(know, ignoreReadFailure)
      }
      const count = ['COUNT', countNow(), 'BLOCK', blockMs] as const
      const reply: unknown = await blocking.xreadgroupBuffer('GROUP', group, consumer, ...count, 'STREAMS', stream, '>')
      if (reply === null) return []
      if (!isReadEntries(reply)) throw failure('Internal', { detail: 'a read was answered with lists, not with entries' })
      meanBytes = nextMean(meanBytes, reply)
      return reply.entries.map(({ id, fields }) => ({ id, fields, deliveries: 1 }))
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
      // The read was sent again on another socket. The former id may be that of a client of another program by now.
      if ((await nodeOf(blocking, source.stream)).stream !== blockedAs.socket) return
      // On no other node: there the number may be that of another client.
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

/** The reading loop gets the error. */
function ignoreReadFailure() {}

/** Follows growth at once and shrinkage slowly: too small a read costs little, too large a one costs memory. */
function nextMean(mean: number, { entries }: ReadEntries): number {
  if (entries.length === 0) return mean
  const latest = entries.reduce((sum, { fields }) => sum + bytesOf(fields), 0) / entries.length
  return latest > mean ? latest : mean * 0.8 + latest * 0.2
}
