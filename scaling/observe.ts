/**
 * One look at a pipeline's Redis: a handful of cheap commands in three round trips, none of which walks a whole list.
 *
 * First what exists (one MULTI, so that lengths and counters fit together): the clock, the stream, its groups, the registry,
 * dead letters. Then, only where the group exists: the first undelivered entry, the pending list's summary and first page,
 * the consumers and their heartbeats. XPENDING is never sent with IDLE, which scans the whole pending list (7 ms at 100,000).
 *
 * A stream or a group that does not exist is calm: no error, and no pending entries. Where the group is still to be made and
 * starts at the beginning, the entries already in the stream are undelivered, or nothing would ever wake a pipeline from zero.
 */
import type { CompiledPipeline } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { failureOn, type RedisConnection } from '../redis/connection.ts'
import { keySpace } from '../redis/keys.ts'
import { heartbeatTtlMs, parseHeartbeat } from '../redis/stream/registry.ts'
import { idMs, isTimeId } from './entryid.ts'
import { classifyPending, hidesHealthy, type PendingEntry } from './pending.ts'
import * as replies from './replies.ts'
import type { ConsumerSample, Sample } from './sample.ts'
import {
  type Counted,
  extrapolate,
  type FirstPage,
  type GroupFacts,
  pageLimit,
  type StreamFacts,
  undeliveredByLedger,
  undeliveredOf,
} from './undelivered.ts'

const pendingPageSize = 100
const pendingPages = 10
const countPageSize = 100
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
    lookAtStream(redis, pipeline).catch((thrown: unknown) => {
      throw failureOn(redis, thrown)
    }),
    lookAtQueue(queue, pipeline).catch((thrown: unknown) => {
      throw failureOn(queue, thrown)
    }),
  ])
  return { ...seen, ...waiting }
}

/** Runs commands as one MULTI; an answer that is an error is thrown, unless `calm` says it may be one. */
async function together(
  redis: RedisConnection,
  commands: string[][],
  calm: (index: number) => boolean = () => false,
): Promise<unknown[]> {
  const results = await redis.multi(commands).exec()
  if (results === null) throw failure('Internal', { detail: 'a MULTI without WATCH was aborted' })
  return results.map(([error, reply], index) => {
    if (error !== null && !calm(index)) throw error
    return error === null ? reply : undefined
  })
}

async function lookAtStream(redis: RedisConnection, pipeline: CompiledPipeline): Promise<Omit<Sample, keyof QueueFacts>> {
  const { stream: key, group: groupName, startFrom } = pipeline.source
  const keys = keySpace(key, groupName)
  // XINFO answers an error where there is no stream; TYPE says so in the same breath.
  const [time, type, streamReply, groupsReply, names, uids, dead, ledgerReply] = await together(
    redis,
    [
      ['time'],
      ['type', key],
      ['xinfo', 'stream', key],
      ['xinfo', 'groups', key],
      ['hkeys', keys.consumers],
      ['hvals', keys.consumers],
      ['xlen', pipeline.deadLetter.stream],
      ['hmget', keys.stats, ...replies.ledgerFields],
    ],
    (index) => index === 2 || index === 3,
  )
  if (type !== 'none' && type !== 'stream') throw failure('WrongKeyType', { key, actual: String(type), expected: 'stream' })
  const atMs = replies.readTimeMs(time)
  const registry = new Map((names as string[]).map((name, i) => [name, (uids as string[])[i] ?? '']))
  const ledger = replies.readLedger(ledgerReply)
  const base = { atMs, deadLetters: Number(dead ?? 0), lost: ledger?.lost ?? 0 }
  if (type === 'none') return { ...base, ...nothing, consumers: await registeredConsumers(redis, keys.consumer, registry) }

  const stream = replies.readStream(streamReply)
  const group = replies.readGroup(groupsReply, groupName)
  if (group === undefined) {
    const waiting = startFrom === 'Beginning' ? stream.length : 0
    const ages = agesOf(atMs, stream, waiting === 0 ? undefined : stream.firstId, undefined)
    const consumers = await registeredConsumers(redis, keys.consumer, registry)
    const { entriesAdded, lastGeneratedId: lastId } = stream
    return { ...base, ...nothing, ...ages, undelivered: waiting, entriesAdded, lastId, consumers }
  }

  const limit = pageLimit(stream)
  const [firstReply, summaryReply, pageReply, consumersReply] = await together(redis, [
    ['xrange', key, `(${group.lastDeliveredId}`, '+', 'COUNT', String(limit)],
    ['xpending', key, groupName],
    ['xpending', key, groupName, '-', '+', String(pendingPageSize)],
    ['xinfo', 'consumers', key, groupName],
  ])
  const page: FirstPage = { ids: replies.readRange(firstReply).ids, limit }
  const listed = await listPending(redis, key, groupName, replies.readPendingPage(pageReply))
  const consumers = await withHeartbeats(redis, keys.consumer, registry, replies.readConsumers(consumersReply))
  const { total, totals } = replies.readPendingSummary(summaryReply)
  const { minIdleMs } = pipeline.reclaim
  const pending = classifyPending(listed, {
    totals,
    absent: new Set(consumers.filter((consumer) => isAbsent(consumer, minIdleMs)).map((consumer) => consumer.name)),
    minIdleMs,
    ...(stream.firstId === undefined ? {} : { firstId: stream.firstId }),
  })
  const known = undeliveredOf(stream, group, page, undeliveredByLedger(ledger, stream.entriesAdded, total))
  const { count, exact } =
    known === undefined
      ? await countUndelivered(redis, key, stream, group, page.ids[0] ?? group.lastDeliveredId)
      : { count: known, exact: true }
  return {
    ...base,
    groupExists: true,
    undelivered: count,
    undeliveredExact: exact,
    ...agesOf(atMs, stream, page.ids[0], pending.oldestHealthy),
    pending: total,
    orphaned: pending.orphaned,
    quarantined: pending.quarantined,
    entriesAdded: stream.entriesAdded,
    lastId: stream.lastGeneratedId,
    consumers,
  }
}

/** A stream nobody has written to. */
const nothing = {
  groupExists: false,
  undelivered: 0,
  undeliveredExact: true,
  undeliveredAgeMs: 0,
  timeIds: true,
  pending: 0,
  pendingAgeMs: 0,
  orphaned: 0,
  quarantined: 0,
  oldestAgeMs: 0,
  entriesAdded: 0,
  lastId: '0-0',
}

/**
 * Silent for longer than minIdle: whatever it holds may be claimed. Or one of ours whose heartbeat is gone while it asks for
 * nothing either; the heartbeat alone is not enough, because a Redis that is out of memory refuses heartbeats of the living.
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
async function listPending(redis: RedisConnection, key: string, group: string, first: PendingEntry[]): Promise<PendingEntry[]> {
  const listed = [...first]
  let page = first
  for (let pages = 1; pages < pendingPages && hidesHealthy(page, pendingPageSize); pages++) {
    page = replies.readPendingPage(await redis.call('xpending', key, group, `(${page.at(-1)?.id}`, '+', String(pendingPageSize)))
    listed.push(...page)
  }
  return listed
}

async function countUndelivered(redis: RedisConnection, key: string, stream: StreamFacts, group: GroupFacts, first: string) {
  const counted = await countEntries(redis, key, group.lastDeliveredId)
  return { count: extrapolate(counted, first, stream), exact: counted.complete }
}

async function countEntries(redis: RedisConnection, key: string, afterId: string): Promise<Counted> {
  let entries = 0
  let bytes = 0
  let lastId = afterId
  while (entries < countCapEntries && bytes < countCapBytes) {
    const page = replies.readRange(await redis.call('xrange', key, `(${lastId}`, '+', 'COUNT', String(countPageSize)))
    entries += page.ids.length
    bytes += page.bytes
    lastId = page.ids.at(-1) ?? lastId
    if (page.ids.length < countPageSize) return { entries, lastId, complete: true }
  }
  return { entries, lastId, complete: false }
}

/** Registered consumers of a group that does not exist (any more): they hold nothing, but they may be alive. */
async function registeredConsumers(
  redis: RedisConnection,
  heartbeatKey: (name: string) => string,
  registry: ReadonlyMap<string, string>,
): Promise<ConsumerSample[]> {
  return withHeartbeats(redis, heartbeatKey, registry, [])
}

async function withHeartbeats(
  redis: RedisConnection,
  heartbeatKey: (name: string) => string,
  registry: ReadonlyMap<string, string>,
  known: readonly replies.ConsumerFacts[],
): Promise<ConsumerSample[]> {
  const inGroup = new Set(known.map((consumer) => consumer.name))
  const all = [
    ...known,
    ...[...registry.keys()].filter((name) => !inGroup.has(name)).map((name) => ({ name, pending: 0, idleMs: 0 })),
  ]
  const ours = all.filter((consumer) => registry.has(consumer.name))
  const texts = ours.length === 0 ? [] : await redis.mget(ours.map((consumer) => heartbeatKey(consumer.name)))
  const heartbeats = new Map(ours.map((consumer, i) => [consumer.name, parseHeartbeat(texts[i] ?? null)]))
  return all.map((consumer) => {
    const uid = registry.get(consumer.name)
    const heartbeat = heartbeats.get(consumer.name)
    // A heartbeat under this name by another process is a predecessor's: the registry names the present one.
    const current = heartbeat !== undefined && heartbeat.uid === uid
    return { ...consumer, ...(uid === undefined ? {} : { uid }), ...(current ? { heartbeat } : {}) }
  })
}

type QueueFacts = Required<Pick<Sample, 'queueWaiting' | 'queuePaused'>>

/** BullMQ's waiting jobs: the list, the paused list, and the prioritised set. That it is paused stands in its meta hash. */
async function lookAtQueue(queue: RedisConnection, pipeline: CompiledPipeline): Promise<QueueFacts> {
  const { prefix, queue: name } = pipeline.sink
  const [paused, ...counts] = await together(
    queue,
    [
      ['hget', `${prefix}:${name}:meta`, 'paused'],
      ['llen', `${prefix}:${name}:wait`],
      ['llen', `${prefix}:${name}:paused`],
      ['zcard', `${prefix}:${name}:prioritized`],
    ],
    // A meta key of another type is told by who checks the keys, and hides no number.
    (index) => index === 0,
  )
  const queueWaiting = counts.reduce<number>((sum, count) => sum + Number(count ?? 0), 0)
  return { queueWaiting, queuePaused: typeof paused === 'string' }
}
