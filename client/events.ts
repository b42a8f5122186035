/**
 * What happens to requests, as it happens: the events of a BullMQ queue, and new dead letters. BullMQ's QueueEvents reads the same stream, but
 * one connection for each queue, and from `$`, between two reads of which an event may pass unseen. Here a position is kept from the start,
 * and one connection serves both streams where they share a Redis.
 */
import { pause } from '../process/pause.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { jsonOrText } from '../redis/status/jobstate.ts'

export type RequestNews =
  | { readonly kind: 'Completed'; readonly job: string; readonly result: unknown }
  | { readonly kind: 'Failed'; readonly job: string; readonly error: string }
  | { readonly kind: 'Removed'; readonly job: string }
  | { readonly kind: 'Dead'; readonly hash: string; readonly entry: string; readonly record: string }

interface Source {
  readonly key: string
  /** Undefined: nobody waits for such an event. */
  read(id: string, fields: ReadonlyMap<string, string>): RequestNews | undefined
}

interface EventParts {
  /** A connection of its own, which is closed by `stop`. */
  readonly open: () => Promise<RedisConnection>
  readonly sources: readonly Source[]
  readonly heard: (news: RequestNews) => void
  /** Events may have been missed: the connection was lost, or could not be read. */
  readonly resumed: () => void
  readonly failed: (thrown: unknown) => void
  readonly close: (connection: RedisConnection) => Promise<void>
}

export interface EventReader {
  /** Resolves when no later event can be missed. Throws what the first contact with Redis threw. */
  readonly ready: Promise<void>
  stop(): Promise<void>
}

const blockMs = 5_000
/** A read that takes longer hangs in a dead socket. */
const silentMs = 15_000
const retryMs = 1_000
const mostAtOnce = 1_000

export function readEvents(parts: EventParts): EventReader {
  const stopping = new AbortController()
  const { signal } = stopping
  const started = Promise.withResolvers<void>()
  let opened: RedisConnection | undefined

  const run = async () => {
    const connection = await parts.open()
    opened = connection
    if (signal.aborted) return
    let wasReady = connection.status === 'ready'
    connection.on('ready', () => {
      if (wasReady) parts.resumed()
      wasReady = true
    })
    const positions = await Promise.all(parts.sources.map(async ({ key }) => await lastId(connection, key)))
    started.resolve()
    while (!signal.aborted) {
      try {
        for (const [place, id, news] of await read(connection, parts.sources, positions)) {
          positions[place] = id
          if (news !== undefined) parts.heard(news)
        }
      } catch (thrown) {
        if (signal.aborted) return
        parts.failed(thrown)
        await pause(retryMs, signal)
        parts.resumed()
      }
    }
  }

  const running = run().catch((thrown: unknown) => {
    started.reject(thrown)
    if (!signal.aborted) parts.failed(thrown)
  })
  // The waiting callers receive the failure. Without one, no caller needs it.
  started.promise.catch(ignoreUnawaited)

  return {
    ready: started.promise,
    async stop() {
      stopping.abort()
      if (opened !== undefined) await parts.close(opened)
      await running
    },
  }
}

function ignoreUnawaited() {}

async function lastId(connection: RedisConnection, key: string): Promise<string> {
  const [last] = await connection.xrevrange(key, '+', '-', 'COUNT', 1)
  return last?.[0] ?? '0-0'
}

type Read = readonly [place: number, id: string, news: RequestNews | undefined]

async function read(connection: RedisConnection, sources: readonly Source[], positions: readonly string[]): Promise<Read[]> {
  const keys = sources.map(({ key }) => key)
  const timer = setTimeout(() => cut(connection), silentMs)
  try {
    const streams = [...keys, ...positions]
    const reply = await connection.xread('COUNT', mostAtOnce, 'BLOCK', blockMs, 'STREAMS', ...streams)
    return (reply ?? []).flatMap(([key, entries]) => {
      const place = keys.indexOf(key)
      return entries.map(([id, flat]): Read => [place, id, sources[place]?.read(id, fieldsOf(flat))])
    })
  } finally {
    clearTimeout(timer)
  }
}

/** It connects anew, and the command is sent again. */
function cut(connection: RedisConnection): void {
  connection.disconnect(true)
}

function fieldsOf(flat: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] ?? '', flat[at + 1] ?? '')
  return fields
}

/** BullMQ's events of a queue. */
export const queueSource = (key: string): Source => ({
  key,
  read(_, fields) {
    const job = fields.get('jobId') ?? ''
    switch (fields.get('event')) {
      case 'completed':
        return { kind: 'Completed', job, result: jsonOrText(fields.get('returnvalue')) }
      case 'failed':
        return { kind: 'Failed', job, error: fields.get('failedReason') ?? '' }
      case 'removed':
        return { kind: 'Removed', job }
      default:
        return undefined
    }
  },
})

export const deadLetterSource = (key: string): Source => ({
  key,
  read: (record, fields) => ({
    ...{ kind: 'Dead', hash: fields.get('idempotencyKey') ?? '', entry: fields.get('originalId') ?? '', record },
  }),
})
