/**
 * The portable path's lock at the moment in which Redis runs the MULTI. Its holder may have stood still for longer than the life
 * of the lock after its last look at the clock. Another job may have come, run and gone.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { type ForwardItem, jsonOf } from '../../../redis/bullmq/item.ts'
import { openBullQueue } from '../../../redis/bullmq/queue.ts'
import { keySpace } from '../../../redis/keys.ts'
import { type ForwardTarget, queueKey } from '../../../redis/placement.ts'
import { claimsOf } from '../../../redis/settle/forwarders/claims.ts'
import { addJobs } from '../../../redis/settle/forwarders/transaction.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'

let server: RedisServer
let redis: Redis
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
  redis = server.client({ maxRetriesPerRequest: null })
})

const item = (hash: string): ForwardItem => ({ hash, json: jsonOf({ hash }), trace: {}, origin: '1-1' })

async function open(t: TestContext, name: string, jobOptions: Partial<ForwardTarget['jobOptions']>) {
  const target: ForwardTarget = {
    queue: name,
    prefix: 'bull',
    jobName: 'compute',
    jobOptions: { attempts: 1, removeOnComplete: true, removeOnFail: false, ...jobOptions },
    windowMs: 60_000,
    lockTtlMs: 10_000,
    keys: keySpace(name, 'g'),
  }
  const bull = await openBullQueue(redis, name, 'bull')
  const queue = new Queue(name, { connection: server.client({ maxRetriesPerRequest: null }), skipMetasUpdate: true })
  queue.on('error', () => undefined)
  t.after(async () => {
    await bull.close()
    await queue.close()
  })
  const add = async (...hashes: string[]) => {
    const claims = claimsOf(hashes.map(item), target.keys.scope, queueKey(target))
    const standings = claims.map(() => ({ kind: 'Fresh' }) as const)
    const outcomes = await addJobs(redis, bull.queue, target, claims, standings, () => false)
    return { kinds: outcomes.map(({ kind }) => kind), keys: claims.map(({ jobKey }) => jobKey) }
  }
  return { target, queue, add }
}

for (const [what, jobOptions] of [
  ['at once', {}],
  ['delayed', { delay: 60_000 }],
  ['by priority', { priority: 5 }],
] as const) {
  test(`a key that was marked since it was looked at is not added; the others are (${what})`, async (t) => {
    const { target, queue, add } = await open(t, `window-${what.replaceAll(' ', '-')}`, jobOptions)
    // Its job came, ran, and went.
    await redis.set(target.keys.mark('run'), '1-1', 'PX', 60_000)
    const { kinds, keys } = await add('first', 'run', 'last')
    assert.deepEqual(kinds, ['Forwarded', 'Contended', 'Forwarded'])
    assert.deepEqual(await Promise.all(keys.map((key) => redis.exists(key))), [1, 0, 1], 'nothing is left of the other')
    const jobs = await queue.getJobs(['waiting', 'delayed', 'prioritized'])
    assert.deepEqual(jobs.map((job) => job.data.hash).toSorted(), ['first', 'last'])
    assert.deepEqual(await Promise.all(keys.map((key) => redis.hexists(key, 'spGuard'))), [0, 0, 0])
  })
}

test('a job that another program made meanwhile stays as it is', async (t) => {
  const { target, add } = await open(t, 'window-made', {})
  assert.deepEqual((await add('theirs')).kinds, ['Forwarded'])
  const key = claimsOf([item('theirs')], target.keys.scope, queueKey(target))[0]?.jobKey ?? ''
  await redis.hset(key, 'note', 'kept')
  await add('theirs')
  assert.equal(await redis.hget(key, 'note'), 'kept')
  assert.equal(await redis.llen(`${queueKey(target)}wait`), 1)
})
