/**
 * Each refusal of a running Redis: the consumer is BackendDown and reports the reason, no delivery is counted, nothing is
 * dead-lettered, and everything goes on by itself. (OOM: outofmemory.test.ts. Away, READONLY, frozen: outage and hang.
 * CLUSTERDOWN and TRYAGAIN: test/scenarios/topology/cluster.test.ts.)
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChainableCommander, Redis } from 'ioredis'
import { assertOnce, openPipeline } from '../../consumer/fixture.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

interface Refusal {
  readonly name: string
  /** How it shows in `/readyz`. */
  readonly says: RegExp
  /** Appended to the transaction that adds entries: the reader of the entries meets it. */
  readonly within?: (transaction: ChainableCommander) => void
  /** Afterwards. Resolves when Redis refuses. */
  readonly begin?: (admin: Redis, server: RedisServer) => Promise<void>
  readonly end: (admin: Redis, server: RedisServer) => Promise<void>
}

const refusals: readonly Refusal[] = [
  {
    name: 'NOREPLICAS: too few replicas',
    says: /NOREPLICAS/,
    within: (transaction) => void transaction.config('SET', 'min-replicas-to-write', '1'),
    end: async (admin) => void (await admin.config('SET', 'min-replicas-to-write', '0')),
  },
  {
    name: 'MISCONF: the last snapshot failed',
    says: /MISCONF/,
    async begin(admin, server) {
      // A folder of the snapshot's name: no snapshot can take its place.
      await mkdir(join(server.folder, 'dump.rdb', 'child'), { recursive: true })
      await admin.config('SET', 'save', '3600 1')
      await admin.bgsave()
      await eventually(async () => /rdb_last_bgsave_status:err/.test(await admin.info('persistence')))
    },
    async end(admin, server) {
      await rm(join(server.folder, 'dump.rdb'), { recursive: true })
      await admin.bgsave()
    },
  },
  {
    name: 'BUSY: another program’s script does not end',
    says: /BUSY/,
    async begin(admin, server) {
      await admin.config('SET', 'busy-reply-threshold', '100')
      server
        .client()
        .eval('while true do end', 0)
        .catch(() => undefined)
      const refused = async () =>
        await admin.ping().then(
          () => false,
          (error: Error) => error.message.startsWith('BUSY'),
        )
      await eventually(refused)
    },
    end: async (admin) => void (await admin.call('SCRIPT', 'KILL')),
  },
  {
    name: 'NOAUTH: the password was changed',
    says: /NOAUTH|WRONGPASS/,
    async begin(admin) {
      await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>changed')
      await admin.call('CLIENT', 'KILL', 'USER', 'default')
    },
    end: async (admin) => void (await admin.call('ACL', 'SETUSER', 'default', 'nopass')),
  },
  {
    name: 'NOPERM: a right was taken away',
    // Within a script Redis gives it no code of its own.
    says: /lacks a right|NOPERM|can't run this command/,
    within: (transaction) => void transaction.call('ACL', 'SETUSER', 'default', '-xack', '-xpending', '-xreadgroup'),
    end: async (admin) => void (await admin.call('ACL', 'SETUSER', 'default', '+@all')),
  },
]

for (const { name, says, within, begin, end } of refusals) {
  test(name, async (t) => {
    const server = await startRedis(t)
    const { start, place, pipeline, waiting, jobs, redis } = openPipeline(t, server, {
      source: { stream: '{refused}:jobs', batchSize: 20 },
      delivery: { maxDeliveries: 2 },
      // Longer than a busy machine keeps one of the two from working.
      reclaim: { minIdle: '3s', interval: '1s' },
    })
    await redis.call('ACL', 'SETUSER', 'admin', 'on', '>secret', '~*', '&*', '+@all')
    const admin = server.client({ username: 'admin', password: 'secret' })
    await admin.ping()
    const consumers = await Promise.all([start('pod-0'), start('pod-1')])
    const add = admin.multi()
    for (let i = 0; i < 40; i++) add.xadd(place.stream, '*', 'job_id', String(i))
    within?.(add)
    await add.exec()
    await begin?.(admin, server)
    for (const consumer of consumers) {
      // A consumer without entries tries again now and then. A consumer whose connection was cut reports that first.
      await eventually(
        async () => {
          const { status, body } = await consumer.get('/readyz')
          assert.equal(status, 503)
          assert.match(body, /^BackendDown: /)
          assert.match(body, says)
        },
        { timeoutMs: 30_000 },
      )
      assert.equal((await consumer.get('/livez')).status, 200)
    }
    // Longer than minIdle × maxDeliveries.
    await sleep(pipeline.reclaim.minIdleMs * pipeline.delivery.maxDeliveries + 1_000)
    await end(admin, server)
    await Promise.all(consumers.map((consumer) => consumer.ready()))
    await admin.xadd(place.stream, '*', 'job_id', '40')
    const pending = async () => (await admin.xpending(place.stream, place.group))[0]
    await eventually(async () => (await waiting()) === 41 && (await pending()) === 0, { timeoutMs: 60_000 })
    assertOnce(await jobs(), 41)
    assert.equal(await admin.xlen(place.deadLetters), 0)
    for (const consumer of consumers) {
      assert.equal(await consumer.metric('stream_consumer_reclaimed_total'), 0, 'nobody took what another held')
      assert.equal((await consumer.stop()).code, 0)
    }
  })
}

test('LOADING: a restart that takes its time', async (t) => {
  const server = await startRedis(t, { appendonly: true, args: ['--key-load-delay', '6000'] })
  const { start, add, waiting, jobs, pending, dead } = openPipeline(t, server, { source: { stream: '{loading}:jobs' } })
  const consumer = await start('pod-0')
  await add(300)
  await eventually(async () => (await waiting()) === 300)
  const restarted = server.restart('SIGKILL')
  await eventually(async () => (await consumer.get('/readyz')).status === 503, { timeoutMs: 30_000 })
  await restarted
  await consumer.ready()
  await add(20, 300)
  await eventually(async () => (await waiting()) === 320 && (await pending()).length === 0, { timeoutMs: 60_000 })
  assertOnce(await jobs(), 320)
  assert.deepEqual(await dead(), [])
})
