/**
 * One connection per distinct Redis, for all pipelines that use it. An address holds everything needed to connect, secrets
 * included. So a changed password is another address. The new connection is made, and the old one goes with its last user.
 *
 * A tenant may name thousands of servers. So each namespace has a bounded number of places for open connections (places.ts). A
 * connection is used between `enter` and the function that it returns. Outside of that it may be closed. The next use then opens a
 * new one.
 */
import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { Clock } from '../../process/clock.ts'
import { createSemaphore, type Semaphore } from '../../process/semaphore.ts'
import { close, connect, failureOn, isCluster, type RedisConnection } from '../../redis/connect/connection.ts'
import type { RedisAddress } from '../../redis/connect/references.ts'
import { checkServer } from '../../redis/preflight/backends.ts'
import { checkWritable } from './diagnosis.ts'
import { createPlaces, type Seat } from './places.ts'

export interface RedisLease {
  /** Another one after each closing, so it is to be read anew at each use. */
  readonly connection: RedisConnection
  /** Where it leads, secrets included. */
  readonly address: RedisAddress
  /** Equal for equal addresses; holds no secret. */
  readonly id: string
  /**
   * Limits the looks that share this connection: a thousand that begin together would outlast the time limit of their own commands.
   */
  readonly looks: Semaphore
  /**
   * Whether the server takes writes and is set up as it must be; asked once every two seconds for all that look over this connection.
   * Throws RedisNotReady, RedisUnfit, or why Redis could not be asked.
   */
  serverFit(): Promise<void>
  /** Waits for a place, and begins a use of the connection; the function returned ends it. Undefined when the signal aborts first. */
  enter(signal: AbortSignal): Promise<(() => void) | undefined>
  /** As `enter`, without waiting. Only for a use within another one, which would wait for itself. */
  enterNow(): () => void
  /** Idempotent. */
  release(): Promise<void>
}

export interface RedisConnections {
  /** @param namespace whose places the connection needs */
  lease(address: RedisAddress, namespace: string): RedisLease
  /** `enter` for several leases of one namespace. They are entered together: one after the other, two uses could wait for each other. */
  enter(namespace: string, leases: readonly RedisLease[], signal: AbortSignal): Promise<(() => void) | undefined>
  /** Uses under way are cut off. */
  close(): Promise<void>
}

/** Open connections of one namespace. Uses within another use may exceed it, to twice as many at most. */
export const placesOfNamespace = 128
/** Nodes of a cluster to which a connection may stay open between two uses. Redirections of each command open more. */
const mostNodes = 128
const looksAtOnce = 16
/** A look that has waited this long begins all the same: a Redis that hangs should be reported soon. */
const longestWaitMs = 5_000
const serverEveryMs = 2_000

export function addressId(address: RedisAddress): string {
  return createHash('sha256').update(JSON.stringify(address)).digest('base64url')
}

interface Held extends Pick<RedisLease, 'looks' | 'serverFit'>, Seat {
  connection: RedisConnection
  users: number
  /** Uses under way. */
  uses: number
}

export function createConnections(clock: Clock): RedisConnections {
  const held = new Map<string, Held>()
  const places = createPlaces(placesOfNamespace)
  const seats = new WeakMap<RedisLease, Held>()
  const closing = new Set<Promise<void>>()

  async function isFit(connection: RedisConnection): Promise<void> {
    try {
      await checkWritable(connection)
      await checkServer(connection)
    } catch (thrown) {
      throw failureOn(connection, thrown)
    }
  }

  function hold(address: RedisAddress): Held {
    let last: { readonly atMs: number; readonly outcome: Promise<void> } | undefined
    const entry: Held = {
      connection: connect(address, 'Observer'),
      looks: createSemaphore(looksAtOnce, { ms: longestWaitMs, timer: clock.after }),
      serverFit() {
        if (last === undefined || clock.now() - last.atMs >= serverEveryMs) {
          last = { atMs: clock.now(), outcome: isFit(entry.connection) }
        }
        return last.outcome
      },
      async sleep() {
        const old = entry.connection
        entry.connection = connect(address, 'Observer')
        const closed = close(old).finally(() => closing.delete(closed))
        closing.add(closed)
        await closed
      },
      users: 0,
      uses: 0,
    }
    return entry
  }

  function begin(entry: Held, leave: () => void): () => void {
    entry.uses += 1
    let left = false
    return () => {
      if (left) return
      left = true
      entry.uses -= 1
      // A hostile cluster may send each command to another node.
      const { connection, uses } = entry
      if (uses === 0 && isCluster(connection) && connection.nodes('all').filter(isOpen).length > mostNodes) void entry.sleep()
      leave()
    }
  }

  return {
    lease(address, namespace) {
      const id = addressId(address)
      const entry = held.get(id) ?? hold(address)
      entry.users += 1
      held.set(id, entry)
      let released = false
      const lease: RedisLease = {
        get connection() {
          return entry.connection
        },
        address,
        id,
        looks: entry.looks,
        serverFit: entry.serverFit,
        async enter(signal) {
          const leave = await places.take(namespace, [entry], signal)
          return leave && begin(entry, leave)
        },
        enterNow: () => begin(entry, places.takeNow(namespace, entry)),
        async release() {
          if (released) return
          released = true
          entry.users -= 1
          if (entry.users > 0) return
          held.delete(id)
          places.forget(entry)
          await close(entry.connection)
        },
      }
      seats.set(lease, entry)
      return lease
    },
    async enter(namespace, leases, signal) {
      const entries = leases.flatMap((lease) => seats.get(lease) ?? [])
      const leave = await places.take(namespace, entries, signal)
      return leave && entries.reduce((inner, entry) => begin(entry, inner), leave)
    },
    async close() {
      await Promise.all([...held.values()].map(({ connection }) => close(connection)).concat(...closing))
    },
  }
}

const isOpen = ({ status }: Redis): boolean => status !== 'wait' && status !== 'end'
