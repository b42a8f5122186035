/**
 * One connection per distinct Redis, however many pipelines use it. An address holds everything needed to connect, secrets
 * included, so a changed password is another address: the new connection is made and the old one goes with its last user.
 */
import { createHash } from 'node:crypto'
import { createSemaphore, type Semaphore } from '../../process/semaphore.ts'
import { close, connect, failureOn, type RedisConnection } from '../../redis/connect/connection.ts'
import type { RedisAddress } from '../../redis/connect/references.ts'
import { checkServer } from '../../redis/preflight/backends.ts'
import type { Clock } from '../kubernetes/clock.ts'
import { checkWritable } from './diagnosis.ts'

export interface RedisLease {
  readonly connection: RedisConnection
  /** Where it leads, secrets included. */
  readonly address: RedisAddress
  /** Equal for equal addresses; holds no secret. */
  readonly id: string
  /** Looks over this connection: a thousand that begin together would outlast the time limit of their own commands. */
  readonly looks: Semaphore
  /**
   * Whether the server takes writes and is set up as it must be; asked once every two seconds for all that look over this connection.
   * Throws RedisNotReady, RedisUnfit, or why Redis could not be asked.
   */
  serverFit(): Promise<void>
  /** Idempotent. */
  release(): Promise<void>
}

export interface RedisConnections {
  lease(address: RedisAddress): RedisLease
  /** Whoever still uses one is cut off. */
  close(): Promise<void>
}

const looksAtOnce = 16
/** A look that has waited this long begins all the same: a Redis that hangs should be reported soon. */
const longestWaitMs = 5_000
const serverEveryMs = 2_000

export function addressId(address: RedisAddress): string {
  return createHash('sha256').update(JSON.stringify(address)).digest('base64url')
}

interface Held extends Pick<RedisLease, 'connection' | 'looks' | 'serverFit'> {
  users: number
}

export function createConnections(clock: Clock): RedisConnections {
  const held = new Map<string, Held>()

  async function isFit(connection: RedisConnection): Promise<void> {
    try {
      await checkWritable(connection)
      await checkServer(connection)
    } catch (thrown) {
      throw failureOn(connection, thrown)
    }
  }

  function hold(address: RedisAddress): Held {
    const connection = connect(address, 'Observer')
    let last: { readonly atMs: number; readonly outcome: Promise<void> } | undefined
    return {
      connection,
      looks: createSemaphore(looksAtOnce, { ms: longestWaitMs, timer: clock.after }),
      serverFit() {
        if (last === undefined || clock.now() - last.atMs >= serverEveryMs) {
          last = { atMs: clock.now(), outcome: isFit(connection) }
        }
        return last.outcome
      },
      users: 0,
    }
  }

  return {
    lease(address) {
      const id = addressId(address)
      const entry = held.get(id) ?? hold(address)
      entry.users += 1
      held.set(id, entry)
      let released = false
      return {
        connection: entry.connection,
        address,
        id,
        looks: entry.looks,
        serverFit: entry.serverFit,
        async release() {
          if (released) return
          released = true
          entry.users -= 1
          if (entry.users > 0) return
          held.delete(id)
          await close(entry.connection)
        },
      }
    },
    async close() {
      await Promise.all([...held.values()].map(({ connection }) => close(connection)))
    },
  }
}
