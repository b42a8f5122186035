/**
 * The scenario of the killed consumer: an entry for each way in which an entry can end, and its expected outcome once another
 * consumer has finished the work. The worker is simulated. It takes all waiting jobs, counts them by key, and removes them at
 * once (`removeOnComplete`), so that a job added twice is executed twice.
 */
import assert from 'node:assert/strict'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { jobId } from '../../../redis/keys.ts'
import { keyHash } from '../../../redis/payload/idempotency.ts'
import { forwardTarget, streamPlace } from '../../../redis/placement.ts'
import { type DeadLetterReason, decodeDeadLetter } from '../../../redis/record.ts'
import { type Assembly, impatience, pipelineFor, windowMs } from './assemble.ts'
import { optionsOf } from './ownoptions.ts'

/** Jobs expected per key of a valid entry. */
const executions: Readonly<Record<string, number>> = {
  'reclaimed-1': 1,
  'reclaimed-2': 1,
  'reclaimed-3': 1,
  'delivered-twice': 1,
  own: 1,
  'fresh-1': 1,
  'fresh-2': 1,
  'fresh-3': 1,
  'fresh-4': 1,
  // Two entries of one batch.
  twin: 1,
  // Forwarded before, its job long gone.
  marked: 0,
  // A job without a mark: it waits; it finished within the window; it finished before it; an aborted add left it in no list.
  waiting: 1,
  retained: 0,
  outlived: 1,
  orphan: 1,
  // Another forwarder holds its lock for a moment.
  contended: 1,
}

export interface Scenario {
  /** Empties Redis and lays everything out. */
  lay(): Promise<void>
  /** The worker: executes waiting jobs, but for one that was there before and has no mark yet. */
  execute(last: boolean): Promise<void>
  /** Whether every entry has been read and none is pending. */
  settled(): Promise<boolean>
  /** Throws an AssertionError for whatever is lost, doubled or left over. */
  check(): Promise<void>
  close(): Promise<void>
}

/** @param stream client of the stream's Redis @param queueRedis of the queue's; the same one unless it is elsewhere */
export function createScenario(
  { path, ownOptions }: Pick<Assembly, 'path' | 'ownOptions'>,
  stream: Redis,
  queueRedis: Redis,
): Scenario {
  const pipeline = pipelineFor({ path, ownOptions })
  const place = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  const queueKey = `${target.prefix}:${target.queue}:`
  const { group, stream: streamKey } = place
  const queue = new Queue(target.queue, { connection: queueRedis, prefix: target.prefix, skipMetasUpdate: true })
  const hashOf = (key: string) => keyHash([key])
  const idOf = (key: string) => jobId(target.keys.scope, hashOf(key))
  let executed = new Map<string, number>()
  let dead: readonly (readonly [id: string, reason: DeadLetterReason])[] = []
  let entries = 0

  const add = async (...fields: string[]) => {
    entries += 1
    return String(await stream.xadd(streamKey, '*', ...fields))
  }
  const selfTests = `${target.keys.prefix}selftests`
  const addKey = async (key: string) => await add('key', key, 'n', '1', ...(ownOptions ? optionsOf(key) : []))

  const existingJob = async (key: string, timestamp: number, finished: boolean) => {
    const id = idOf(key)
    await queue.add(target.jobName, { key, n: 1 }, { jobId: id, timestamp })
    if (!finished) return
    await queueRedis.lrem(`${queueKey}wait`, 1, id)
    await queueRedis.zadd(`${queueKey}completed`, timestamp, id)
    await queueRedis.hset(queueKey + id, { finishedOn: String(timestamp) })
  }

  const layPending = async () => {
    await stream.xgroup('CREATE', streamKey, group, '0', 'MKSTREAM')
    const reclaimed = [await addKey('reclaimed-1'), await addKey('reclaimed-2'), await addKey('reclaimed-3')]
    const twice = await addKey('delivered-twice')
    const worn = await addKey('worn')
    const trimmed = await addKey('trimmed')
    const broken = await add('key', 'broken')
    const own = await addKey('own')
    await stream.xreadgroup('GROUP', group, 'gone', 'COUNT', 100, 'STREAMS', streamKey, '>')
    const claim = async (owner: string, deliveries: number, ...ids: string[]) => {
      await stream.xclaim(streamKey, group, owner, 0, ...ids, 'IDLE', 3_600_000, 'RETRYCOUNT', deliveries, 'JUSTID')
    }
    await claim('gone', 1, ...reclaimed, trimmed, broken)
    await claim('gone', 2, twice)
    await claim('gone', pipeline.delivery.maxDeliveries, worn)
    await claim('first', 1, own)
    await stream.xdel(streamKey, trimmed)
    dead = [
      [worn, 'MaxDeliveries'],
      [trimmed, 'Trimmed'],
      [broken, 'SchemaViolation'],
    ]
  }

  const layNew = async () => {
    const now = Date.now()
    await queueRedis.set(target.keys.mark(hashOf('marked')), '1-1', 'PX', windowMs)
    await existingJob('waiting', now, false)
    await existingJob('retained', now, true)
    await existingJob('outlived', now - 2 * windowMs, true)
    await existingJob('orphan', now, false)
    await queueRedis.lrem(`${queueKey}wait`, 1, idOf('orphan'))
    await addKey('fresh-1')
    await addKey('twin')
    await addKey('marked')
    await addKey('twin')
    dead = [...dead, [await add('note', 'no key'), 'SchemaViolation']]
    if (ownOptions) dead = [...dead, [await add('key', 'refused', 'n', '1', 'sp-attempts', '10'), 'OptionRefused']]
    await addKey('waiting')
    await addKey('fresh-2')
    await addKey('retained')
    await addKey('outlived')
    await addKey('orphan')
    await addKey('contended')
    await addKey('fresh-3')
    await addKey('fresh-4')
    await queueRedis.set(target.keys.lock(hashOf('contended')), 'somebody', 'PX', 80)
  }

  const drainQueue = `local executed = {}
for at, key in ipairs(KEYS) do
  for _, id in ipairs(redis.call(at == 1 and 'LRANGE' or 'ZRANGE', key, 0, -1)) do
    if id ~= ARGV[2] then
      executed[#executed + 1] = redis.call('HGET', ARGV[1] .. id, 'data') or ('no job ' .. id)
      redis.call('DEL', ARGV[1] .. id)
      if at == 1 then redis.call('LREM', key, 1, id) else redis.call('ZREM', key, id) end
    end
  end
end
return executed`
  const waitingKeys = ['wait', 'prioritized', 'delayed'].map((list) => queueKey + list)

  const checkDeadLetters = async () => {
    const records = await stream.xrangeBuffer(place.deadLetters, '-', '+')
    const found = records.map(([id, flat]) => decodeDeadLetter(String(id), flat))
    const reported = (pairs: readonly (readonly [string, string])[]) => pairs.map(([id, reason]) => `${id} ${reason}`).toSorted()
    assert.deepEqual(reported(found.map(({ originalId, reason }) => [originalId, reason ?? ''])), reported(dead), 'dead letters')
  }

  const checkKeys = async () => {
    for (const redis of new Set([stream, queueRedis])) {
      const names = await redis.keys('*')
      for (const name of names.filter((key) => key.includes(':lock:'))) {
        const ttl = await redis.pttl(name)
        assert.ok(ttl !== -1 && ttl <= impatience.lockTtlMs, `lock ${name} lives for ${ttl} ms`)
      }
      const jobs = names.filter((key) => key.startsWith(`${queueKey}e-`) && key !== queueKey + idOf('retained'))
      assert.deepEqual(jobs, [], 'jobs that no list holds')
      const runs = new Set(names.flatMap((key) => /:selftest:([^:]+):/.exec(key)?.[1] ?? []))
      const registered = await redis.hkeys(selfTests)
      assert.deepEqual(
        [...runs].filter((run) => !registered.includes(run)),
        [],
        'self-tests whose keys no one will delete',
      )
      assert.ok(!registered.includes('abandoned'), 'a self-test abandoned long ago is still there')
    }
  }

  return {
    async lay() {
      entries = 0
      executed = new Map()
      for (const redis of new Set([stream, queueRedis])) await redis.flushall()
      if (path !== 'Portable') await queueRedis.hset(selfTests, 'abandoned', '1')
      await layPending()
      await layNew()
    },
    async execute(last) {
      const spared = last ? '' : idOf('waiting')
      const jobs = (await queueRedis.eval(drainQueue, waitingKeys.length, ...waitingKeys, queueKey, spared)) as string[]
      for (const data of jobs) {
        const key = data.startsWith('{') ? String((JSON.parse(data) as { key?: unknown }).key) : data
        executed.set(key, (executed.get(key) ?? 0) + 1)
      }
    },
    async settled() {
      const [summary, info] = await Promise.all([stream.xpending(streamKey, group), stream.xinfo('STREAM', streamKey)])
      const groups = (await stream.xinfo('GROUPS', streamKey)) as unknown[][]
      const flat = Array.isArray(info) ? info : []
      const lastId: unknown = flat[flat.indexOf('last-generated-id') + 1]
      const delivered = groups[0]?.[groups[0].indexOf('last-delivered-id') + 1]
      return Array.isArray(summary) && summary[0] === 0 && lastId === delivered
    },
    async check() {
      const counts = Object.fromEntries(Object.keys(executions).map((key) => [key, executed.get(key) ?? 0]))
      assert.deepEqual(counts, executions, 'executions by key')
      const unknown = [...executed.keys()].filter((key) => executions[key] === undefined)
      assert.deepEqual(unknown, [], 'jobs that nobody asked for')
      await checkDeadLetters()
      const stats = await stream.hgetall(place.keys.stats)
      assert.equal(
        Number(stats['settled'] ?? 0) + Number(stats['trimmedPending'] ?? 0),
        entries,
        'entries settled, by the ledger',
      )
      await checkKeys()
    },
    async close() {
      await queue.close()
    },
  }
}
