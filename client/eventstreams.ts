/** The streams of events of one reader, their positions, and the dispatchers that listen to each. */
import { failure } from '../api/errors.ts'
import { deferred } from '../process/deferred.ts'
import { failureOn, type RedisConnection } from '../redis/connect/connection.ts'
import { lastId, type RequestNews, type Source } from './events.ts'

export interface EventListener {
  readonly source: Source
  readonly heard: (news: RequestNews) => void
  /** Events may have been missed: the connection was lost, or could not be read. */
  readonly resumed: () => void
  readonly failed: (thrown: unknown) => void
}

interface EventStream {
  readonly source: Source
  /** Id of the last event that was read. Undefined: it has no position yet. */
  position: string | undefined
  readonly listeners: Map<EventListener, ReturnType<typeof deferred<void>>>
}

/** One that has a position. */
type PlacedStream = EventStream & { position: string }

interface EventStreams {
  add(listener: EventListener): { readonly ready: Promise<void>; readonly isNew: boolean; readonly leave: () => void }
  /** Streams to read. Forgets those to which no dispatcher listens any more. */
  heard(): readonly PlacedStream[]
  isHeard(): boolean
  size(): number
  each(use: (listener: EventListener) => void): void
  /** Gives new streams the position of their last event. A refusal concerns that stream alone. */
  place(connection: RedisConnection, signal: AbortSignal): Promise<void>
  /** Forgets streams without a position, and fails their listeners. */
  refuse(thrown: unknown): void
}

const isPlaced = (stream: EventStream): stream is PlacedStream => stream.position !== undefined

export function createEventStreams(): EventStreams {
  const streams = new Map<string, EventStream>()
  const all = () => [...streams.values()]
  const unplaced = () => all().filter((stream) => !isPlaced(stream))

  const refuseOne = ({ source, listeners }: EventStream, thrown: unknown) => {
    streams.delete(source.key)
    for (const started of listeners.values()) started.reject(thrown)
  }

  const placeOne = async (stream: EventStream, connection: RedisConnection, signal: AbortSignal) => {
    try {
      stream.position = await lastId(connection, stream.source.key)
      for (const started of stream.listeners.values()) started.resolve()
    } catch (thrown) {
      if (!signal.aborted) refuseOne(stream, failureOn(connection, thrown))
    }
  }

  return {
    add(listener) {
      const { source } = listener
      const known = streams.get(source.key)
      const stream: EventStream = known ?? { source, position: undefined, listeners: new Map() }
      streams.set(source.key, stream)
      const started = deferred()
      // The waiting callers receive the failure. Without one, no caller needs it.
      started.promise.catch(ignoreUnawaited)
      stream.listeners.set(listener, started)
      if (isPlaced(stream)) started.resolve()
      const leave = () => {
        started.reject(failure('Closed', { what: 'dispatcher' }))
        stream.listeners.delete(listener)
      }
      return { ready: started.promise, isNew: known === undefined, leave }
    },
    heard() {
      for (const { source, listeners } of all()) if (listeners.size === 0) streams.delete(source.key)
      return all().filter(isPlaced)
    },
    isHeard: () => all().some(({ listeners }) => listeners.size > 0),
    size: () => streams.size,
    each(use) {
      for (const { listeners } of all()) for (const listener of listeners.keys()) use(listener)
    },
    async place(connection, signal) {
      for (let left = unplaced(); left.length > 0 && !signal.aborted; left = unplaced()) {
        await Promise.all(left.map((stream) => placeOne(stream, connection, signal)))
      }
    },
    refuse(thrown) {
      for (const stream of unplaced()) refuseOne(stream, thrown)
    },
  }
}

function ignoreUnawaited() {}
