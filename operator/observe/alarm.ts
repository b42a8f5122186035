/**
 * One blocking read for all pipelines that sleep at one Redis (in a cluster: in one slot). It is a plain XREAD, which creates and takes
 * nothing, and which waits for streams that do not exist yet. A woken pipeline is left out until a look finds it asleep again, so an
 * entry that no consumer takes cannot wake it for ever.
 *
 *   Idle       no pipeline sleeps, or the next read is about to begin
 *   Opening    connecting, on a connection of its own: a blocked connection serves no other command
 *   Reading    blocked, for some seconds at a time. A sleeper that comes later ends the read by CLIENT UNBLOCK, so that the next
 *              one waits for it, too; where the user may not do that, reads are shorter
 *   Waiting    Redis is away or a failover is under way: a new connection, with back-off. Entries of that time ring at once, since
 *              the read begins after the last entry that was seen
 *
 * The alarm needs no entry's bytes, but XREAD sends them. A reply larger than a wake-up may be is cut off (RedisReplyRefused), and its
 * connection is closed. The alarm then asks for entry ids alone, on the observer's connection.
 *
 * If Redis refuses the read (no right to XREAD, a key of another type), the streams are tried one by one. A pipeline whose stream is
 * refused wakes at its next look, as without an alarm, and `refusal` holds the reason.
 */
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import { type Backoff, backoffMs } from '../../process/backoff.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { close, connect, failureOn, open, type RedisConnection } from '../../redis/connect/connection.ts'
import { nodeOf } from '../../redis/connect/node.ts'
import type { RedisAddress } from '../../redis/connect/references.ts'
import { newestEntries } from '../../redis/scripts/generated.ts'
import { isEntryId } from '../../scaling/entryid.ts'
import type { RedisLease } from './connections.ts'
import { readCommand, readFrom, type Sleeper, wokenBy, wokenByIds } from './sleepers.ts'

interface AlarmParts {
  readonly clock: Clock
  /** The observer's connection, by which reads are ended, and where it leads. */
  readonly lease: RedisLease
  readonly onWake: (key: string) => void
}

export interface Alarm {
  set(key: string, sleeper: Sleeper): void
  unset(key: string): void
  /** Why entries of that pipeline do not wake it at once; undefined: they do. */
  refusal(key: string): StreamPipelineError | undefined
  readonly isEmpty: boolean
  /** Idempotent. */
  close(): Promise<void>
}

type State =
  | { readonly kind: 'Idle' }
  | { readonly kind: 'Opening' }
  | { readonly kind: 'Reading'; readonly clientId: number }
  | { readonly kind: 'Waiting' }

/** Well below the silence after which the connection counts as dead. */
const blockMs = 4_000
/** Where a read cannot be ended. */
const shortBlockMs = 500
/** Pipelines that fall asleep together join in one read. */
const gatherMs = 20
/** A read that has not reached the server yet cannot be ended. */
const unblockTries = 10
const retryRefusedMs = 30_000
/** Streams of one script. Each costs the server as much as XINFO STREAM does. */
const idsAtOnce = 100
const reconnecting: Backoff = { baseMs: 100, maxMs: 2_000 }

export function createAlarm({ clock, lease, onWake }: AlarmParts): Alarm {
  const sleepers = new Map<string, Sleeper>()
  const refused = new Map<string, { readonly error: StreamPipelineError; readonly atMs: number }>()
  const stop = new AbortController()
  let state: State = { kind: 'Idle' }
  let connection: RedisConnection | undefined
  /** Where that leads. */
  let place: RedisAddress | undefined
  let running: Promise<void> | undefined
  let joining: Promise<void> | undefined
  /** Some sleep whom the read under way does not wait for. */
  let incomplete = false
  let mayUnblock = true

  function start(): void {
    if (running !== undefined || sleepers.size === 0 || stop.signal.aborted) return
    running = run().finally(() => {
      running = undefined
      // Somebody fell asleep while the last read was being cleared away.
      start()
    })
  }

  async function run(): Promise<void> {
    for (let attempt = 0; sleepers.size > 0 && !stop.signal.aborted; ) {
      try {
        await ring()
        attempt = 0
      } catch (thrown) {
        // That Redis is away, or not ready, is told by the looks. A defect would be told by nobody.
        const error = asFailure(thrown)
        if (error.code === 'Internal' && !stop.signal.aborted) for (const key of [...sleepers.keys()]) refuse(key, error)
        await hangUp()
        state = { kind: 'Waiting' }
        await pause(backoffMs(++attempt, reconnecting, clock.random()), stop.signal, clock.after)
      }
    }
    await hangUp()
    state = { kind: 'Idle' }
  }

  /** One read. Throws what another connection may mend. */
  async function ring(): Promise<void> {
    state = { kind: 'Opening' }
    const [first] = sleepers.values()
    if (first === undefined) return
    if (connection === undefined) {
      place = await used(() => placeOf(lease, first.stream))
      connection = connect(place, 'Alarm')
    }
    await open(connection, stop.signal)
    const clientId = await idOf(connection)
    const armed = new Map(sleepers)
    if (armed.size === 0) return
    incomplete = false
    state = { kind: 'Reading', clientId }
    let reply: unknown
    try {
      const [command = '', ...args] = readCommand(readFrom(armed.values()), mayUnblock ? blockMs : shortBlockMs)
      reply = await connection.call(command, ...args)
    } catch (thrown) {
      const error = failureOn(connection, thrown)
      if (error.code === 'RedisReplyRefused') return await wakeByIds(armed, error)
      if (!isAboutStreams(error)) throw error
      await sortOut(connection, armed, error)
      return
    } finally {
      state = { kind: 'Opening' }
    }
    wake(wokenBy(reply, armed), armed)
  }

  /** Work on the observer's connection, when that has a place. */
  async function used<T>(work: () => Promise<T>): Promise<T> {
    const leave = await lease.enter(stop.signal)
    if (leave === undefined) throw failure('Closed', { what: 'alarm' })
    try {
      return await work()
    } finally {
      leave()
    }
  }

  /** Throws if no pipeline wakes: a server that sends other bytes in place of entries could repeat them at once. */
  async function wakeByIds(armed: ReadonlyMap<string, Sleeper>, refused: StreamPipelineError): Promise<void> {
    await hangUp()
    const streams = [...readFrom(armed.values()).keys()]
    const newest = new Map<string, string>()
    for (let at = 0; at < streams.length; at += idsAtOnce) {
      const some = streams.slice(at, at + idsAtOnce)
      const { ids } = await used(() => newestEntries(lease.connection, { streams: some }))
      for (const [n, stream] of some.entries()) {
        const id = ids[n] ?? ''
        if (isEntryId(id)) newest.set(stream, id)
      }
    }
    const woken = wokenByIds(newest, armed)
    if (woken.length === 0) throw refused
    wake(woken, armed)
  }

  async function idOf(reader: RedisConnection): Promise<number> {
    try {
      return Number(await reader.call('CLIENT', 'ID'))
    } catch (thrown) {
      const error = failureOn(reader, thrown)
      if (!isAboutStreams(error)) throw error
      mayUnblock = false
      return 0
    }
  }

  function wake(keys: readonly string[], armed: ReadonlyMap<string, Sleeper>): void {
    for (const key of keys) {
      // Looked at meanwhile, it knows of an entry that came before; what came since then rings in the next read.
      if (sleepers.get(key) !== armed.get(key)) continue
      sleepers.delete(key)
      onWake(key)
    }
  }

  /** One stream that cannot be read fails the read of all: each is tried alone, without blocking. */
  async function sortOut(reader: RedisConnection, armed: ReadonlyMap<string, Sleeper>, together: StreamPipelineError) {
    const outcomes = await Promise.all(
      [...armed].map(async ([key, sleeper]) => {
        const [command = '', ...args] = readCommand(readFrom([sleeper]))
        try {
          const reply = await reader.call(command, ...args)
          return { key, reply }
        } catch (thrown) {
          const error = failureOn(reader, thrown)
          // The next read begins anew and asks for ids.
          if (!isAboutStreams(error)) throw error
          return { key, error }
        }
      }),
    )
    const allGood = outcomes.every(({ error }) => error === undefined)
    for (const { key, reply, error = allGood ? together : undefined } of outcomes) {
      if (error === undefined) wake(wokenBy(reply, armed), armed)
      else refuse(key, error)
    }
  }

  function refuse(key: string, error: StreamPipelineError): void {
    sleepers.delete(key)
    refused.set(key, { error, atMs: clock.now() })
  }

  async function hangUp(): Promise<void> {
    const old = connection
    connection = undefined
    if (old !== undefined) await close(old)
  }

  /** Ends the read under way, so that the next one waits for the newcomers, too. */
  async function join(): Promise<void> {
    await pause(gatherMs, stop.signal, clock.after)
    for (let tries = 0; incomplete && mayUnblock && tries < unblockTries && !stop.signal.aborted; tries++) {
      if (state.kind === 'Reading') await unblock(state.clientId)
      await pause(gatherMs, stop.signal, clock.after)
    }
  }

  async function unblock(clientId: number): Promise<void> {
    const [first] = sleepers.values()
    // A closed connection is not opened for that: the read ends by itself in a few seconds.
    if (first === undefined || lease.connection.status !== 'ready') return
    try {
      // At another node somebody else may bear that number.
      if ((await placeOf(lease, first.stream)).label !== place?.label) return
      const node = await nodeOf(lease.connection, first.stream)
      await node.call('CLIENT', 'UNBLOCK', String(clientId))
    } catch (thrown) {
      // Whatever else the reason, the read ends by itself in a few seconds.
      if (failureOn(lease.connection, thrown).code === 'RedisPermissionDenied') mayUnblock = false
    }
  }

  return {
    set(key, sleeper) {
      const since = refused.get(key)?.atMs
      if (since !== undefined && clock.now() - since < retryRefusedMs) return
      refused.delete(key)
      const before = sleepers.get(key)
      // The read under way waits for it already, from an id that rings for the same entries.
      if (before?.stream === sleeper.stream) return
      sleepers.set(key, sleeper)
      incomplete = true
      start()
      joining ??= join().finally(() => {
        joining = undefined
      })
    },
    unset(key) {
      sleepers.delete(key)
      refused.delete(key)
    },
    refusal: (key) => refused.get(key)?.error,
    get isEmpty() {
      return sleepers.size === 0 && refused.size === 0
    },
    async close() {
      stop.abort()
      sleepers.clear()
      refused.clear()
      await hangUp()
      await Promise.all([running, joining])
    },
  }
}

/** Refused for what was asked, not for the state Redis is in. */
const isAboutStreams = ({ code }: StreamPipelineError): boolean =>
  code === 'RedisPermissionDenied' || code === 'RedisCommandFailed' || code === 'RedisUnfit'

/** In a cluster the node that has the slot now: a blocked connection follows no redirection. */
async function placeOf({ address, connection }: RedisLease, stream: string): Promise<RedisAddress> {
  if (address.kind !== 'Cluster') return address
  const { host = '', port = 0 } = (await nodeOf(connection, stream)).options
  const { username, password, tls, reach } = address
  return { kind: 'Server', host, port, database: 0, label: `${host}:${port}`, username, password, tls, reach }
}
