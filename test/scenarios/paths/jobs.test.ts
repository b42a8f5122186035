/** The three paths leave in the queue the traces of `queue.add`, and one field of ours: fields, lists, events, markers. Workers wake. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import { Queue, QueueEvents, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { CompiledJobOptions } from '../../../api/compiled.ts'
import { queueKeyTypes } from '../../../redis/bullmq/addscript.ts'
import { sumOf } from '../../../redis/bullmq/item.ts'
import type { AddWay } from '../../../redis/bullmq/specialisedadd.ts'
import type { PathKind } from '../../../redis/settle/path.ts'
import { forwardWays, kindsOf, type OpenPath, openPath, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

const variants: [what: string, options: Partial<CompiledJobOptions>][] = [
  ['plain', {}],
  ['delayed', { delay: 3_600_000 }],
  ['prioritised', { priority: 7 }],
  ['lifo', { lifo: true }],
  ['with attempts and back-off', { attempts: 5, backoff: { type: 'exponential', delay: 1_000 } }],
  ['kept for a while', { removeOnComplete: { age: 60, count: 5 }, removeOnFail: { age: 600 } }],
]

/** Everything under the queue's prefix, times taken out. */
async function content(redis: Redis, prefix: string): Promise<Record<string, unknown>> {
  const read = async (key: string): Promise<unknown> => {
    switch (await redis.type(key)) {
      case 'hash': {
        const hash: Record<string, unknown> = await redis.hgetall(key)
        if (typeof hash['opts'] === 'string') hash['opts'] = JSON.parse(hash['opts'])
        // The one field of our own: it shows that the job entered a list, and BullMQ leaves it alone.
        delete hash['spAdded']
        return 'timestamp' in hash ? { ...hash, timestamp: 'time', delay: hash['delay'] } : hash
      }
      case 'list':
        return await redis.lrange(key, 0, -1)
      case 'zset':
        return key.endsWith('delayed') || key.endsWith('marker')
          ? await redis.zrange(key, '0', '-1')
          : await redis.zrange(key, '0', '-1', 'WITHSCORES')
      case 'stream':
        return (await redis.xrange(key, '-', '+')).map(([, fields]) =>
          fields.map((text) => (/^\d{13}$/.test(text) ? 'time' : text)),
        )
      default:
        return await redis.get(key)
    }
  }
  const keys = (await redis.keys(`${prefix}*`)).sort()
  return Object.fromEntries(await Promise.all(keys.map(async (key) => [key.slice(prefix.length), await read(key)] as const)))
}

async function reference(t: TestContext, path: OpenPath) {
  const { target, queueServer } = path
  const queue = new Queue(target.queue, {
    connection: queueServer.client({ maxRetriesPerRequest: null }),
    prefix: 'theirs',
    skipMetasUpdate: true,
  })
  queue.on('error', () => undefined)
  t.after(() => queue.close())
  return {
    queue,
    async add(key: string, id: string) {
      const origin = { sp: { id, sum: sumOf(JSON.stringify({ k: key })) } }
      const options = { ...target.jobOptions, jobId: path.id(key), ...origin }
      await queue.add(target.jobName, { k: key }, options)
    },
    content: async () => await content(path.queueClient, `theirs:${target.queue}:`),
  }
}

for (const { kind, add } of forwardWays) describe(`${kind}, ${add}:`, () => suite(kind, add))

function suite(kind: PathKind, add: AddWay) {
  for (const [what, jobOptions] of variants) {
    test(`a ${what} job equals queue.add’s, on an empty queue, on one in use and on a paused one`, async (t) => {
      const path = await openPath(t, kind, servers, { jobOptions, add })
      const theirs = await reference(t, path)
      const both = async (...keys: string[]) => {
        const ids = await path.putKeys(...keys)
        assert.deepEqual(
          kindsOf(await path.settle(await path.read())),
          keys.map(() => 'forwarded'),
        )
        for (const [index, key] of keys.entries()) await theirs.add(key, ids[index] ?? '')
        assert.deepEqual(await content(path.queueClient, path.queueKey), await theirs.content())
      }
      await both('a')
      await both('b', 'c')
      await path.queue.pause()
      await theirs.queue.pause()
      await both('d', 'e')
      await path.queue.resume()
      await theirs.queue.resume()
      await both('f')
      const parts = Object.keys(await content(path.queueClient, path.queueKey)).filter((part) => !part.startsWith('e-'))
      for (const part of parts) assert.ok(part in queueKeyTypes, `${part} is not among the keys whose type is checked`)
    })
  }

  test('queue events announce it, and reads of the queue list and count it', async (t) => {
    const { putKeys, read, settle, queue, queueServer, target, id } = await openPath(t, kind, servers, { add })
    const events = new QueueEvents(target.queue, {
      connection: queueServer.client({ maxRetriesPerRequest: null }),
      prefix: target.prefix,
    })
    events.on('error', () => undefined)
    t.after(() => events.close())
    const heard: string[] = []
    events.on('added', ({ jobId, name }) => void heard.push(`added ${jobId} ${name}`))
    events.on('waiting', ({ jobId }) => void heard.push(`waiting ${jobId}`))
    await events.waitUntilReady()
    const keys = Array.from({ length: 80 }, (_, index) => `k${index}`)
    // The first is before the events' reader begins; it reads what comes after that.
    await eventually(async () => {
      await putKeys('first')
      await settle(await read())
      await queue.add('probe', {}, { removeOnComplete: true })
      return heard.some((line) => line.endsWith(' probe'))
    })
    heard.length = 0
    await putKeys(...keys)
    await settle(await read())
    await eventually(() => heard.length >= 2 * keys.length)
    const expected = keys.flatMap((key) => [`added ${id(key)} ${target.jobName}`, `waiting ${id(key)}`])
    assert.deepEqual(
      heard.filter((line) => line.includes(' e-')),
      expected,
    )
    const jobs = (await queue.getJobs(['waiting'], 0, -1, true)).filter(({ name }) => name === target.jobName)
    assert.deepEqual(
      jobs.map(({ id: found, data, attemptsMade, delay, priority, opts }) => [
        found,
        data,
        attemptsMade,
        delay,
        priority,
        opts.jobId,
      ]),
      ['first', ...keys].map((key) => [id(key), { k: key }, 0, 0, 0, id(key)]),
    )
    const { waiting, delayed, paused } = await queue.getJobCounts()
    assert.deepEqual([waiting, delayed, paused ?? 0], [await queue.getWaitingCount(), 0, 0])
    assert.equal(await queue.getJobState(id('k3')), 'waiting')
  })

  test('a worker that blocks wakes at once; a paused queue keeps its jobs until it is resumed', async (t) => {
    const { putKeys, read, settle, queue, queueServer, target } = await openPath(t, kind, servers, { add })
    const seen: string[] = []
    const worker = new Worker(target.queue, async ({ data }) => void seen.push(String(data.k)), {
      connection: queueServer.client({ maxRetriesPerRequest: null }),
      prefix: target.prefix,
      drainDelay: 60,
    })
    worker.on('error', () => undefined)
    t.after(() => worker.close())
    await worker.waitUntilReady()
    const blocked = async () => /cmd=bzpopmin/.test(String(await queueServer.client().call('CLIENT', 'LIST')))
    await eventually(blocked)
    await putKeys('a')
    await settle(await read())
    await eventually(() => seen.includes('a'), { timeoutMs: 30_000 })
    await queue.pause()
    await putKeys('b', 'c')
    await settle(await read())
    assert.deepEqual(seen, ['a'])
    await queue.resume()
    await eventually(() => seen.length === 3, { timeoutMs: 30_000 })
    assert.deepEqual(seen.toSorted(), ['a', 'b', 'c'])
  })
}
