/**
 * A read that blocks for the next entry of any of several streams. It has a connection of its own, since a blocked connection
 * serves no other command. It is a plain XREAD, which creates and takes nothing, and which waits for streams that do not exist yet.
 *
 *   Closed   no connection. Left by `open`.
 *   Open     connected, with its client id. Left by `read`, and by `hangUp`.
 *   Reading  blocked, for some seconds at a time. `end` ends it early by CLIENT UNBLOCK; where the user may not do that, reads are shorter.
 *            Left by the reply, to Open, and by `hangUp`.
 *
 * The reader needs no entry's bytes, but XREAD sends them. A reply beyond the size of a wake-up is cut off (RedisReplyRefused), and
 * its connection is closed. The reader then asks for entry ids alone, on the observer's connection.
 *
 * If Redis refuses the read (no right to XREAD, a key of another type), the streams are tried one by one.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import { close, connect, failureOn, open, type RedisConnection } from '../../redis/connect/connection.ts'
import { nodeOf } from '../../redis/connect/node.ts'
import type { RedisAddress } from '../../redis/connect/references.ts'
import { newestEntries } from '../../redis/scripts/generated.ts'
import { isEntryId } from '../../scaling/entryid.ts'
import type { RedisLease } from './connections.ts'
import { type IdlePipeline, readCommand, readFrom, wokenBy, wokenByIds } from './idlepipelines.ts'

type Armed = ReadonlyMap<string, IdlePipeline>

interface ReadOutcome {
  /** Pipelines whose stream has an entry. */
  readonly woken: readonly string[]
  /** Pipelines whose stream cannot be read. */
  readonly refused: readonly (readonly [key: string, error: StreamPipelineError])[]
}

interface BlockingRead {
  /** @param stream one of those to read: in a cluster they are all at its node */
  open(stream: string): Promise<void>
  /** Blocks. Throws the errors that another connection may mend. */
  read(armed: Armed): Promise<ReadOutcome>
  /** False: reads under way end by themselves only. */
  readonly canEnd: boolean
  /** Ends the read under way, if any. */
  end(stream: string): Promise<void>
  hangUp(): Promise<void>
}

type State =
  | { readonly kind: 'Closed' }
  | { readonly kind: 'Open'; readonly connection: RedisConnection; readonly clientId: number }
  | { readonly kind: 'Reading'; readonly connection: RedisConnection; readonly clientId: number }

/** Well below the silence after which the connection counts as dead. */
const blockMs = 4_000
/** Where a read cannot be ended. */
const shortBlockMs = 500
/** Streams of one script. Each costs the server as much as XINFO STREAM does. */
const idsAtOnce = 100

/** @param lease the observer's connection, by which reads are ended, and its address */
export function createBlockingRead(lease: RedisLease, stop: AbortSignal): BlockingRead {
  let state: State = { kind: 'Closed' }
  let connection: RedisConnection | undefined
  let place: RedisAddress | undefined
  let canEnd = true

  async function hangUp(): Promise<void> {
    const old = connection
    connection = undefined
    state = { kind: 'Closed' }
    if (old !== undefined) await close(old)
  }

  async function read(armed: Armed): Promise<ReadOutcome> {
    if (state.kind !== 'Open') throw failure('Closed', { what: 'waker' })
    const opened = state
    state = { ...opened, kind: 'Reading' }
    try {
      const [command = '', ...args] = readCommand(readFrom(armed.values()), canEnd ? blockMs : shortBlockMs)
      const reply = await opened.connection.call(command, ...args)
      return { woken: wokenBy(reply, armed), refused: [] }
    } catch (thrown) {
      const error = failureOn(opened.connection, thrown)
      if (error.code === 'RedisReplyRefused') {
        await hangUp()
        return await wokenByIdsOf(lease, armed, error, stop)
      }
      if (!isAboutStreams(error)) throw error
      return await sortOut(opened.connection, armed, error)
    } finally {
      // A closed connection stays closed.
      if (isReading()) state = opened
    }
  }

  const isReading = () => state.kind === 'Reading'

  return {
    async open(stream) {
      if (connection === undefined) {
        place = await used(lease, stop, () => placeOf(lease, stream))
        connection = connect(place, 'Alarm')
      }
      const opening = connection
      await open(opening, stop)
      const clientId = await clientIdOf(opening)
      if (clientId === undefined) canEnd = false
      state = { kind: 'Open', connection: opening, clientId: clientId ?? 0 }
    },
    read,
    get canEnd() {
      return canEnd
    },
    async end(stream) {
      // A closed connection is not opened for that: the read ends by itself in a few seconds.
      if (state.kind !== 'Reading' || lease.connection.status !== 'ready') return
      const { clientId } = state
      try {
        // At another node the number may be that of another client.
        if ((await placeOf(lease, stream)).label !== place?.label) return
        const node = await nodeOf(lease.connection, stream)
        await node.call('CLIENT', 'UNBLOCK', String(clientId))
      } catch (thrown) {
        // For any other reason, too, the read ends by itself in a few seconds.
        if (failureOn(lease.connection, thrown).code === 'RedisPermissionDenied') canEnd = false
      }
    },
    hangUp,
  }
}

/** Undefined: the user may not ask for it. */
async function clientIdOf(connection: RedisConnection): Promise<number | undefined> {
  try {
    return Number(await connection.call('CLIENT', 'ID'))
  } catch (thrown) {
    const error = failureOn(connection, thrown)
    if (!isAboutStreams(error)) throw error
    return undefined
  }
}

/** Throws if no pipeline wakes: a server that sends other bytes in place of entries could repeat them at once. */
async function wokenByIdsOf(
  lease: RedisLease,
  armed: Armed,
  refused: StreamPipelineError,
  stop: AbortSignal,
): Promise<ReadOutcome> {
  const streams = [...readFrom(armed.values()).keys()]
  const newest = new Map<string, string>()
  for (let at = 0; at < streams.length; at += idsAtOnce) {
    const some = streams.slice(at, at + idsAtOnce)
    const { ids } = await used(lease, stop, () => newestEntries(lease.connection, { streams: some }))
    for (const [n, stream] of some.entries()) {
      const id = ids[n] ?? ''
      if (isEntryId(id)) newest.set(stream, id)
    }
  }
  const woken = wokenByIds(newest, armed)
  if (woken.length === 0) throw refused
  return { woken, refused: [] }
}

/**
 * One stream that cannot be read fails the read of all: each is tried alone, without blocking. If each can be read alone, the refusal of
 * all together counts for each.
 */
async function sortOut(connection: RedisConnection, armed: Armed, together: StreamPipelineError): Promise<ReadOutcome> {
  const outcomes = await Promise.all(
    [...armed].map(async ([key, idlePipeline]) => {
      const [command = '', ...args] = readCommand(readFrom([idlePipeline]))
      try {
        return { key, reply: await connection.call(command, ...args) }
      } catch (thrown) {
        const error = failureOn(connection, thrown)
        // The next read begins anew and asks for ids.
        if (!isAboutStreams(error)) throw error
        return { key, error }
      }
    }),
  )
  const allGood = outcomes.every(({ error }) => error === undefined)
  const errorOf = ({ error }: (typeof outcomes)[number]) => (allGood ? together : error)
  return {
    woken: outcomes.flatMap((outcome) => (errorOf(outcome) === undefined ? wokenBy(outcome.reply, armed) : [])),
    refused: outcomes.flatMap((outcome) => {
      const error = errorOf(outcome)
      return error === undefined ? [] : [[outcome.key, error] as const]
    }),
  }
}

/** Work on the observer's connection, when that has a place. */
async function used<T>(lease: RedisLease, stop: AbortSignal, work: () => Promise<T>): Promise<T> {
  const leave = await lease.enter(stop)
  if (leave === undefined) throw failure('Closed', { what: 'waker' })
  try {
    return await work()
  } finally {
    leave()
  }
}

/** Refused for its keys or commands, not for the state of the server. */
const isAboutStreams = ({ code }: StreamPipelineError): boolean =>
  code === 'RedisPermissionDenied' || code === 'RedisCommandFailed' || code === 'RedisUnfit'

/** In a cluster the node that has the slot now: a blocked connection follows no redirection. */
async function placeOf({ address, connection }: RedisLease, stream: string): Promise<RedisAddress> {
  if (address.kind !== 'Cluster') return address
  const { host = '', port = 0 } = (await nodeOf(connection, stream)).options
  const { username, password, tls, reach } = address
  return { kind: 'Server', host, port, database: 0, label: `${host}:${port}`, username, password, tls, reach }
}
