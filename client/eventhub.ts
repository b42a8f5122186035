/**
 * The event hubs of this process. All dispatchers that wait on one Redis share one hub, with one blocking connection for the streams
 * of all their queues and dead letters. The first stream opens the connection, and the end of the last closes it. Without a stream
 * nothing of this stays in the process.
 *
 * Begun     no connection is open yet.
 * Placing   a connection is open, and new streams get the position from which they are read. Nothing blocks.
 * Reading   XREAD blocks for all streams. A stream that is added ends this state: the connection is closed, and Begun follows. Positions
 *           stay, so no event is missed.
 * Ended     no stream is left, and the connection is closed. The next stream makes another hub.
 */
import { pause } from '../process/pause.ts'
import { close, type RedisConnection } from '../redis/connect/connection.ts'
import { read } from './events.ts'
import { createEventStreams, type EventListener } from './eventstreams.ts'

/** Where a stream of events lies. */
export interface EventPlace {
  /** Equal for streams that one connection can read. */
  readonly name: string
  /** Makes a connection that waits for Redis without bound. The hub closes it. */
  readonly open: () => Promise<RedisConnection>
}

export interface EventReader {
  /** Resolves when no later event can be missed. Throws what the first contact with Redis threw. */
  readonly ready: Promise<void>
  /** Idempotent. */
  stop(): Promise<void>
}

interface Hub {
  listen(listener: EventListener): EventReader
}

const retryMs = 1_000

/** The hubs that are not Ended, by the names of their places. */
const hubs = new Map<string, Hub>()

/** Reads a stream of events until it is stopped. */
export function readEvents({ name, open }: EventPlace, listener: EventListener): EventReader {
  const known = hubs.get(name)
  if (known !== undefined) return known.listen(listener)
  const made = createHub(open, () => {
    // Another may have followed.
    if (hubs.get(name) === made) hubs.delete(name)
  })
  hubs.set(name, made)
  return made.listen(listener)
}

function createHub(open: EventPlace['open'], ended: () => void): Hub {
  const stopping = new AbortController()
  const { signal } = stopping
  const streams = createEventStreams()
  let running: Promise<void> | undefined
  let opened: RedisConnection | undefined
  let isReading = false

  const readAll = async (connection: RedisConnection) => {
    isReading = true
    while (isReading && !signal.aborted) {
      const all = streams.heard()
      if (all.length === 0) return
      try {
        for (const { at, id, news } of await read(connection, all)) {
          const stream = all[at]
          if (stream === undefined) continue
          stream.position = id
          if (news !== undefined) for (const { heard } of stream.listeners.keys()) heard(news)
        }
      } catch (thrown) {
        if (signal.aborted || !isReading) return
        streams.each(({ failed }) => failed(thrown))
        await pause(retryMs, signal)
        streams.each(({ resumed }) => resumed())
      }
    }
  }

  const session = async () => {
    const connection = await open()
    opened = connection
    try {
      let wasReady = connection.status === 'ready'
      connection.on('ready', () => {
        if (wasReady) streams.each(({ resumed }) => resumed())
        wasReady = true
      })
      await streams.place(connection, signal)
      await readAll(connection)
    } finally {
      isReading = false
      opened = undefined
      await close(connection)
    }
  }

  const run = async () => {
    while (!signal.aborted && streams.size() > 0) {
      try {
        await session()
      } catch (thrown) {
        streams.refuse(thrown)
        if (streams.size() === 0) continue
        // Streams that were read before are tried again.
        streams.each(({ failed }) => failed(thrown))
        await pause(retryMs, signal)
        streams.each(({ resumed }) => resumed())
      }
    }
    running = undefined
    ended()
  }

  const end = async () => {
    stopping.abort()
    ended()
    if (opened !== undefined) await close(opened)
    await running
  }

  return {
    listen(listener) {
      const { ready, isNew, leave } = streams.add(listener)
      running ??= Promise.resolve().then(run)
      if (isNew && isReading && opened !== undefined) {
        // It blocks without the new stream.
        isReading = false
        void close(opened)
      }
      let left: Promise<void> | undefined
      const stop = async () => {
        leave()
        if (!streams.isHeard()) await end()
      }
      return {
        ready,
        stop() {
          left ??= stop()
          return left
        },
      }
    },
  }
}
