/**
 * Live news of requests: the events of a BullMQ queue, and new dead letters. BullMQ's QueueEvents reads the same stream, with one
 * connection for each queue. It starts at `$`, so it may miss an event between two reads. Here a position is kept from the start, and one
 * connection serves many streams (eventhub.ts).
 */
import type { RedisConnection } from '../redis/connect/connection.ts'
import { jsonOrText } from '../redis/status/jobstate.ts'

export type RequestNews =
  | { readonly kind: 'Completed'; readonly job: string; readonly result: unknown }
  | { readonly kind: 'Failed'; readonly job: string; readonly error: string }
  | { readonly kind: 'Removed'; readonly job: string }
  | { readonly kind: 'Dead'; readonly hash: string; readonly entry: string; readonly record: string }

export interface Source {
  readonly key: string
  /** Undefined: no caller waits for such an event. */
  read(id: string, fields: ReadonlyMap<string, string>): RequestNews | undefined
}

const blockMs = 5_000
/** A read that takes longer hangs in a dead socket. */
const silentMs = 15_000
const mostAtOnce = 1_000

/** Id of a stream's last entry. */
export async function lastId(connection: RedisConnection, key: string): Promise<string> {
  const [last] = await connection.xrevrange(key, '+', '-', 'COUNT', 1)
  return last?.[0] ?? '0-0'
}

interface Read {
  /** Index of the stream. */
  readonly at: number
  readonly id: string
  readonly news: RequestNews | undefined
}

/** Events behind the positions, as soon as there is one. Empty: none came for some seconds. */
export async function read(
  connection: RedisConnection,
  streams: readonly { readonly source: Source; readonly position: string }[],
): Promise<readonly Read[]> {
  const keys = streams.map(({ source }) => source.key)
  const positions = streams.map(({ position }) => position)
  const timer = setTimeout(() => cut(connection), silentMs)
  try {
    const reply = await connection.xread('COUNT', mostAtOnce, 'BLOCK', blockMs, 'STREAMS', ...keys, ...positions)
    return (reply ?? []).flatMap(([key, entries]) => {
      const at = keys.indexOf(key)
      return entries.map(([id, flat]) => ({ at, id, news: streams[at]?.source.read(id, fieldsOf(flat)) }))
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
