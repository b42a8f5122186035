import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { acquireLock, type HeldLock, type LockLoss } from '../../client/lock.ts'
import { executionLock } from '../../redis/keys.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'

const server = await startRedis({ after })

async function hold(redis: Parameters<typeof acquireLock>[0], key: string, ttlMs: number) {
  const losses: LockLoss[] = []
  const lock = await acquireLock(redis, key, ttlMs, (loss) => losses.push(loss))
  assert.equal(lock.kind, 'Held')
  return { lock: lock as HeldLock, losses }
}

test('a held lock is refused to others, with what is left of it, until it is released', async () => {
  const redis = server.client()
  const { lock } = await hold(redis, 'refused', 60_000)
  const second = await acquireLock(redis, 'refused', 60_000, assert.fail)
  assert.equal(second.kind, 'Foreign')
  assert.ok(second.kind === 'Foreign' && second.remainingMs > 30_000 && second.remainingMs <= 60_000)
  await lock.release()
  await lock.release()
  assert.equal(await redis.exists('refused'), 0)
})

// The times to live are seconds: a holder that stands still for one of them has lost the lock, and reports that.
test('it outlives its time to live by renewal', async () => {
  const redis = server.client()
  const { lock, losses } = await hold(redis, 'renewed', 4_000)
  await delay(4_500)
  assert.equal(await redis.exists('renewed'), 1)
  assert.deepEqual(losses, [])
  await lock.release()
})

test('release deletes no lock of another owner', async () => {
  const redis = server.client()
  const { lock } = await hold(redis, 'foreign', 10_000)
  await redis.set('foreign', 'another token')
  await lock.release()
  assert.equal(await redis.get('foreign'), 'another token')
})

for (const { when, change } of [
  { when: 'another token holds the key', change: (redis: ReturnType<RedisServer['client']>) => redis.set('lost', 'other') },
  { when: 'the key is gone', change: (redis: ReturnType<RedisServer['client']>) => redis.del('lost') },
]) {
  test(`it is lost once, by the next renewal, when ${when}`, async () => {
    const redis = server.client()
    const { lock, losses } = await hold(redis, 'lost', 4_500)
    await change(redis)
    await eventually(() => losses.length > 0, { timeoutMs: 15_000 })
    assert.deepEqual(losses, ['Taken'])
    await lock.release()
    await redis.del('lost')
  })
}

test('it is lost when Redis gives no answer for the whole of its life', async (t) => {
  const own = await startRedis(t)
  const { lock, losses } = await hold(own.client({ maxRetriesPerRequest: null }), 'silent', 1_500)
  await own.kill('SIGSTOP')
  await eventually(() => losses.length > 0, { timeoutMs: 15_000 })
  assert.deepEqual(losses, ['Expired'])
  await own.kill('SIGCONT')
  await lock.release()
})

test('its name is none of the queue’s own keys, and lies in their slot', () => {
  assert.equal(executionLock('bull', 'ndvi', 'e-1'), 'sp:{bull:ndvi}:exec:ndvi:e-1')
  assert.equal(executionLock('bull{ndvi:jobs}', 'ndvi', 'e-1'), 'sp:{ndvi:jobs}:exec:ndvi:e-1')
})
