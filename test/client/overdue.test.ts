/** The bound on unanswered payloads: any answer of Redis ends it, a refusal included. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../api/errors.ts'
import { createDeadline, maxUnanswered } from '../../client/overdue.ts'
import { failureOn } from '../../redis/connect/connection.ts'
import { startRedis } from '../support/redis.ts'

const never = () => new Promise<never>(() => {})

test('after an outage a refusal of Redis lets all calls through again', async (t) => {
  const server = await startRedis(t, { args: ['--maxmemory', '1'] })
  const redis = server.client()
  const refused = () => redis.set('k', 'v').catch((thrown: unknown) => Promise.reject(failureOn(redis, thrown)))
  const contended = () => Promise.reject(failure('DispatchContended', { key: 'k' }))
  for (const [answer, code] of [
    [refused, 'RedisOutOfMemory'],
    [contended, 'DispatchContended'],
  ] as const) {
    const deadline = createDeadline(250, () => 'redis:6379')
    await assert.rejects(deadline.run(maxUnanswered, never), { code: 'RedisUnreachable' })
    const probe = deadline.run(1, never)
    await assert.rejects(deadline.run(1, answer), /payloads were not answered/)
    await assert.rejects(probe, { code: 'RedisUnreachable' })
    await redis.ping()
    await assert.rejects(deadline.run(1, answer), { code })
    const calls = await Promise.allSettled([deadline.run(1, answer), deadline.run(1, answer)])
    assert.deepEqual(
      calls.map((call) => call.status === 'rejected' && call.reason.code),
      [code, code],
    )
  }
})

test('an error before anything is sent is no answer', async () => {
  const deadline = createDeadline(20, () => 'redis:6379')
  await assert.rejects(deadline.run(maxUnanswered, never), { code: 'RedisUnreachable' })
  const rejected = () => Promise.reject(failure('PayloadRejected', { detail: 'x' }))
  await assert.rejects(deadline.run(1, rejected), { code: 'PayloadRejected' })
  const probe = deadline.run(1, never)
  await assert.rejects(deadline.run(1, rejected), { code: 'RedisUnreachable' })
  await assert.rejects(probe, { code: 'RedisUnreachable' })
})
