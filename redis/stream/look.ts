/**
 * A look of the operator: one script for the stream, one for the queue. So everything in an answer is of one instant, and a look
 * costs two commands. The scripts return counts, ids and names. They leave out the fields of entries, which the server's own replies hold.
 *
 * MULTI would do too. But ioredis defines an accessor on each of its pipelines, so each has a hidden class of its own. Hidden
 * classes lie in V8's old generation. They keep the pipeline with its commands and replies until the next full collection. With a
 * thousand pipelines looked at every five seconds, 7 of 24 MB allocated a second grew old that way. A full collection came every
 * 1.5 seconds.
 */

import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { lookAtQueue as callLookAtQueue, lookAtStream as callLookAtStream } from '../scripts/generated.ts'

/** Entries after the cursor of which ids are read; fewer where entries are large. */
const longestPage = 64
const pageBytes = 65_536
export const pendingPageSize = 100
/** Above the number of consumers that a pipeline may run. A look must not cost more. */
const mostConsumers = 2_000
/** Names of pods have 63 characters; those of local runs hold the host's name and a number. A uid is two of Kubernetes' uids. */
const mostText = 512

const ledgerFields = [
  ...(['base', 'settled', 'trimmedPending', 'lost', 'lostBefore'] as const),
  ...(['unaccounted', 'undecided', 'missingFrom', 'missingSince'] as const),
] as const

/** Its answer as it comes; `scaling/replies.ts` reads it. Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed. */
export async function lookAtStream(connection: RedisConnection, place: StreamPlace): Promise<unknown> {
  const { stream, deadLetters, keys, group } = place
  return await callLookAtStream(
    connection,
    { stream, registry: keys.consumers, stats: keys.stats, deadLetters },
    { group, longestPage, pageBytes, pendingPage: pendingPageSize, mostConsumers, mostText, ledger: ledgerFields },
  )
}

export interface QueueLook {
  /** BullMQ's waiting jobs: the list, the paused list, and the prioritised set. */
  readonly queueWaiting: number
  /** BullMQ marks it in the queue's meta hash. */
  readonly queuePaused: boolean
}

/** Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed. */
export async function lookAtQueue(connection: RedisConnection, prefix: string, name: string): Promise<QueueLook> {
  const key = (part: string) => `${prefix}:${name}:${part}`
  const { paused, waiting } = await callLookAtQueue(connection, {
    meta: key('meta'),
    wait: key('wait'),
    paused: key('paused'),
    prioritized: key('prioritized'),
  })
  return { queueWaiting: waiting, queuePaused: paused }
}
