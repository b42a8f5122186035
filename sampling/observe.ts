/**
 * One look at a pipeline's Redis: the keys, the group's cursor and the holders of entries, all of one instant
 * (redis/stream/look.ts). Then come the heartbeats of the present consumers. Further reads come only where that leaves a question
 * open: pages of the pending list while a quarantine may hide a healthy entry, and entries themselves where nothing else counts
 * them.
 *
 * A stream or a group that does not exist is calm: no error, and no pending entries. If the group is still to be made and starts at
 * the beginning, the entries in the stream count as undelivered. Otherwise nothing would ever wake a pipeline from zero.
 */

import type { CompiledPipeline } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { failureOn, type RedisConnection } from '../redis/connect/connection.ts'
import { type StreamPlace, streamPlace } from '../redis/placement.ts'
import { countEntries } from '../redis/scripts/generated.ts'
import { lookAtQueue, lookAtStream, pendingPageSize, type QueueLook } from '../redis/stream/look.ts'
import { heartbeatTtlMs, parseHeartbeat } from '../redis/stream/registry.ts'
import { idMs, isTimeId } from '../scaling/entryid.ts'
import { classifyPending, hidesHealthy, type PendingEntry } from '../scaling/pending.ts'
import * as replies from '../scaling/replies.ts'
import { type ConsumerSample, emptySample, type Sample } from '../scaling/sample.ts'
import {
  type Counted,
  extrapolate,
  type GroupFacts,
  type StreamFacts,
  undeliveredByLedger,
  undeliveredOf,
} from '../scaling/undelivered.ts'

const pendingPages = 10
const countPageBytes = 65_536
const countCapEntries = 1_000
const countCapBytes = 1_048_576

/**
 * @param queue the queue's connection, where the queue lives in another Redis
 * @throws StreamPipelineError: what Redis failed with; the caller passes `undefined` to `decide` then
 */
export async function observe(
  redis: RedisConnection,
  pipeline: CompiledPipeline,
  queue: RedisConnection = redis,
): Promise<Sample> {
  const [seen, waiting] = await Promise.all([
    seenAt(redis, pipeline).catch((thrown: unknown) => {
      throw failureOn(redis, thrown)
    }),
    lookAtQueue(queue, pipeline.sink.prefix, pipeline.sink.queue).catch((thrown: unknown) => {
      throw failureOn(queue, thrown)
    }),
  ])
  return { ...seen, ...waiting }
}

async function seenAt(redis: RedisConnection, pipeline: CompiledPipeline): Promise<Omit<Sample, keyof QueueLook>> {
  const { stream: key, group: groupName, startFrom } = pipeline.source
  const place = streamPlace(pipeline)
  const { atMs, registry, ledger, deadLetters, type, stream, group, pin } = replies.readLook(await lookAtStream(redis, place))
  if (type !== 'none' && type !== 'stream') throw failure('WrongKeyType', { key, actual: type, expected: 'stream' })
  const missing = ledger?.missing
  const base = { atMs, deadLetters, lost: ledger?.lost ?? 0, ...(missing && { missing }), ...(pin && { pin }) }
  const nothing = { ...emptySample(atMs), ...base }
  if (stream === undefined) return { ...nothing, consumers: await registeredConsumers(redis, place, registry) }
  if (group === undefined) {
    const waiting = startFrom === 'Beginning' ? stream.length : 0
    const ages = agesOf(atMs, stream, waiting === 0 ? undefined : stream.firstId, undefined)
    const consumers = await registeredConsumers(redis, place, registry)
    const { entriesAdded, lastGeneratedId: lastId } = stream
    return { ...nothing, ...ages, undelivered: waiting, entriesAdded, lastId, consumers }
  }

  const { facts, first } = group
  const listed = await listPending(redis, key, groupName, group.pendingPage)
  const consumers = await withHeartbeats(redis, place, registry, group.consumers)
  const { total, totals } = group.pending
  const { minIdleMs } = pipeline.reclaim
  const pending = classifyPending(listed, {
    totals,
    absent: new Set(consumers.filter((consumer) => isAbsent(consumer, minIdleMs)).map((consumer) => consumer.name)),
    minIdleMs,
    ...(stream.firstId === undefined ? {} : { firstId: stream.firstId }),
  })
  const known = undeliveredOf(stream, facts, first, undeliveredByLedger(ledger, stream.entriesAdded, total))
  const { count, exact } =
    known === undefined
      ? await countUndelivered(redis, key, stream, facts, first.ids[0] ?? facts.lastDeliveredId)
      : { count: known, exact: true }
  return {
    ...base,
    groupExists: true,
    undelivered: count,
    undeliveredExact: exact,
    ...agesOf(atMs, stream, first.ids[0], pending.oldestHealthy),
    pending: total,
    orphaned: pending.orphaned,
    quarantined: pending.quarantined,
    entriesAdded: stream.entriesAdded,
    lastId: stream.lastGeneratedId,
    consumers,
  }
}

/**
 * Silent for longer than minIdle: whatever it holds may be claimed. Or a registered consumer without a heartbeat that sends no
 * command either. The heartbeat alone is not enough, because a Redis that is out of memory refuses heartbeats of the living.
 */
function isAbsent(consumer: ConsumerSample, minIdleMs: number): boolean {
  if (consumer.idleMs > minIdleMs) return true
  return consumer.uid !== undefined && consumer.heartbeat === undefined && consumer.idleMs > heartbeatTtlMs
}

type Ages = Pick<Sample, 'undeliveredAgeMs' | 'pendingAgeMs' | 'oldestAgeMs' | 'timeIds'>

function agesOf(atMs: number, stream: StreamFacts, first: string | undefined, oldest: PendingEntry | undefined): Ages {
  const timeIds = isTimeId(first ?? stream.firstId ?? `${atMs}-0`, atMs)
  const age = (id: string | undefined) => (id === undefined || !timeIds ? 0 : Math.max(0, atMs - idMs(id)))
  const undeliveredAgeMs = age(first)
  const pendingAgeMs = timeIds ? age(oldest?.id) : (oldest?.idleMs ?? 0)
  return { timeIds, undeliveredAgeMs, pendingAgeMs, oldestAgeMs: Math.max(undeliveredAgeMs, pendingAgeMs) }
}

/** Further pages only while nothing healthy was seen, at most ten: a quarantine must not hide an old healthy entry. */
async function listPending(
  redis: RedisConnection,
  key: string,
  group: string,
  first: readonly PendingEntry[],
): Promise<readonly PendingEntry[]> {
  const listed = [...first]
  let page = first
  for (let pages = 1; pages < pendingPages && hidesHealthy(page, pendingPageSize); pages++) {
    page = replies.readPendingPage(await redis.call('xpending', key, group, `(${page.at(-1)?.id}`, '+', String(pendingPageSize)))
    listed.push(...page)
  }
  return listed
}

async function countUndelivered(redis: RedisConnection, key: string, stream: StreamFacts, group: GroupFacts, first: string) {
  const counted = await countEntriesAfter(redis, key, group.lastDeliveredId)
  return { count: extrapolate(counted, first, stream), exact: counted.complete }
}

/** Counts as far as the caps allow. Only the server reads the entries' contents. */
async function countEntriesAfter(redis: RedisConnection, key: string, after: string): Promise<Counted> {
  const bounds = { most: countCapEntries, bytes: countCapBytes, pageBytes: countPageBytes }
  const { entries, last, complete } = await countEntries(redis, { stream: key }, { after, ...bounds })
  return { entries, lastId: last, complete }
}

/** Registered consumers of a group that does not exist (any more): they hold nothing, but they may be alive. */
async function registeredConsumers(
  redis: RedisConnection,
  place: StreamPlace,
  registry: ReadonlyMap<string, string>,
): Promise<ConsumerSample[]> {
  return withHeartbeats(redis, place, registry, [])
}

async function withHeartbeats(
  redis: RedisConnection,
  { keys }: StreamPlace,
  registry: ReadonlyMap<string, string>,
  known: readonly replies.ConsumerFacts[],
): Promise<ConsumerSample[]> {
  const inGroup = new Set(known.map((consumer) => consumer.name))
  const all = [
    ...known,
    ...[...registry.keys()].filter((name) => !inGroup.has(name)).map((name) => ({ name, pending: 0, idleMs: 0 })),
  ]
  const ours = all.filter((consumer) => registry.has(consumer.name))
  const texts = ours.length === 0 ? [] : await redis.mget(ours.map((consumer) => keys.consumer(consumer.name)))
  const heartbeats = new Map(ours.map((consumer, i) => [consumer.name, parseHeartbeat(texts[i] ?? null)]))
  return all.map((consumer) => {
    const uid = registry.get(consumer.name)
    const heartbeat = heartbeats.get(consumer.name)
    // A heartbeat under this name by another process is a predecessor's: the registry names the present one.
    const current = heartbeat !== undefined && heartbeat.uid === uid
    return { ...consumer, ...(uid === undefined ? {} : { uid }), ...(current ? { heartbeat } : {}) }
  })
}
