/** Waiting for a replica: one that stopped, died, was never there or came back; and servers that do not report replicas. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { StreamPipelineError } from '../../../api/errors.ts'
import { type ForwardItem, jsonOf } from '../../../redis/bullmq/item.ts'
import { createConfirming } from '../../../redis/settle/forwarders/confirming.ts'
import type { ForwardOutcome } from '../../../redis/settle/forwarders/forwarder.ts'
import { createConfirmation, unconfirmedPatienceMs } from '../../../redis/settle/forwarders/replication.ts'
import { openPipeline } from '../../consumer/fixture.ts'
import { startProxy } from '../../support/proxy.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

/** @param refuse commands that the way to the primary lacks */
async function openServers(t: TestContext, { refuse = [], replica: wanted = true }: { refuse?: string[]; replica?: boolean }) {
  const primary = await startRedis(t)
  const admin = primary.client()
  // It would wait for further replicas before it sends the missing data of the first one.
  await admin.config('SET', 'repl-diskless-sync-delay', '0')
  const follow = async () => {
    const replica = await startRedis(t, { args: ['--replicaof', primary.host, String(primary.port)] })
    await online()
    return replica
  }
  const sees = (what: RegExp) => eventually(async () => what.test(await admin.info('replication')))
  const online = () => sees(/state=online/)
  const replica = wanted ? await follow() : undefined
  const proxy = await startProxy(t, primary, { refuse })
  const redis = primary.client({ port: proxy.port, enableReadyCheck: false })
  let now = 0
  const confirmation = createConfirmation(redis, 'k', () => now)
  const reported: (StreamPipelineError | undefined)[] = []
  let unconfirmed = 0
  confirmation.listen({
    changed: (amiss) => void reported.push(amiss),
    unconfirmed: () => {
      unconfirmed += 1
    },
  })
  return {
    primary,
    admin,
    replica,
    follow,
    online,
    gone: () => sees(/connected_slaves:0/),
    reported: () => reported.splice(0).map((amiss) => amiss?.parameters['detail'] ?? 'well'),
    unconfirmed: () => unconfirmed,
    confirmation,
    pass: (ms: number) => {
      now += ms
    },
    /** Writes, and waits until it is confirmed. */
    async confirm() {
      await redis.incr('k')
      await confirmation.confirm()
    },
    asked: async (command: string) =>
      Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await admin.info('commandstats'))?.[1] ?? 0),
  }
}

const notConfirmed = { code: 'RedisNotReady' }

for (const how of ['SIGSTOP', 'SIGKILL'] as const) {
  test(`a replica that is ended by ${how} is awaited for a minute, then reported as missing, and counted again when it comes back`, async (t) => {
    const servers = await openServers(t, {})
    await servers.confirm()
    await servers.replica?.kill(how)
    if (how === 'SIGKILL') await servers.gone()
    for (const later of [0, 20_000, 20_000, 19_000]) {
      servers.pass(later)
      await assert.rejects(servers.confirm(), notConfirmed)
    }
    assert.deepEqual([servers.unconfirmed(), servers.reported()], [0, []])
    servers.pass(1_000)
    await servers.confirm()
    assert.equal(servers.unconfirmed(), 1)
    assert.match(servers.reported().join(), /60 s/)

    const before = await servers.asked('wait')
    for (let batch = 0; batch < 5; batch++) await servers.confirm()
    assert.equal(servers.unconfirmed(), 6)
    assert.equal(await servers.asked('wait'), before, 'a batch does not wait for what is known to be away')

    if (how === 'SIGSTOP') await servers.replica?.kill('SIGCONT')
    else await servers.replica?.start()
    await servers.online()
    servers.pass(10_000)
    await eventually(async () => {
      await servers.confirm()
      servers.pass(10_000)
      return servers.reported().includes('well')
    })
    const missed = servers.unconfirmed()
    await servers.confirm()
    assert.equal(servers.unconfirmed(), missed, 'confirmed again')
    await servers.replica?.kill(how)
    await assert.rejects(servers.confirm(), notConfirmed, 'and awaited again')
  })
}

test('one miss long ago does not use up the patience of another', async (t) => {
  const servers = await openServers(t, {})
  await servers.confirm()
  await servers.replica?.kill('SIGSTOP')
  await assert.rejects(servers.confirm(), notConfirmed)
  servers.pass(unconfirmedPatienceMs * 60)
  await assert.rejects(servers.confirm(), notConfirmed)
})

test('a server without replicas is not waited for, and is asked now and then; one that gets a replica is', async (t) => {
  const servers = await openServers(t, { replica: false })
  for (let batch = 0; batch < 20; batch++) await servers.confirm()
  // The question whether WAIT is taken.
  assert.deepEqual([await servers.asked('role'), await servers.asked('wait'), servers.reported()], [1, 1, []])
  const replica = await servers.follow()
  servers.pass(10_000)
  await servers.confirm()
  await replica.kill('SIGSTOP')
  await assert.rejects(servers.confirm(), notConfirmed)
})

test('INFO answers where ROLE is lacking', async (t) => {
  const servers = await openServers(t, { refuse: ['ROLE'] })
  await servers.confirm()
  await servers.replica?.kill('SIGSTOP')
  await assert.rejects(servers.confirm(), notConfirmed)
  assert.deepEqual(servers.reported(), [])
})

test('a server that does not say whether it has replicas: said once, and WAIT finds out', async (t) => {
  const refuse = ['ROLE', 'INFO|REPLICATION']
  const without = await openServers(t, { refuse, replica: false })
  for (let batch = 0; batch < 5; batch++) await without.confirm()
  assert.equal(without.reported().length, 1)
  assert.equal(without.unconfirmed(), 0)
  const having = await openServers(t, { refuse })
  const reported: string[] = []
  await eventually(async () => {
    await having.confirm()
    having.pass(10_000)
    reported.push(...having.reported())
    return reported.includes('well')
  })
  assert.deepEqual(reported, ['it does not say whether it has replicas', 'well'])
  await having.replica?.kill('SIGSTOP')
  await assert.rejects(having.confirm(), notConfirmed)
})

test('a server with a replica that does not take WAIT: said, and counted', async (t) => {
  const servers = await openServers(t, { refuse: ['WAIT'] })
  for (let batch = 0; batch < 3; batch++) await servers.confirm()
  assert.match(servers.reported().join(), /^it does not take WAIT$/)
  assert.equal(servers.unconfirmed(), 3)
})

test('what was forwarded before its confirmation failed counts as forwarded when it is tried again', async () => {
  let confirms = false
  const confirmed = createConfirming({
    learn: async () => {},
    listen() {},
    async confirm() {
      if (!confirms) throw new Error('not now')
    },
  })
  const item = (hash: string, origin: string): ForwardItem => ({ hash, json: jsonOf({}), trace: {}, origin })
  const [forwarded, duplicate] = (['Forwarded', 'Duplicate'] as const).map((kind): ForwardOutcome => ({ kind, jobId: 'j' }))
  assert.ok(forwarded !== undefined && duplicate !== undefined)
  const batch = [item('a', '1-0'), item('a', '2-0'), item('b', '3-0')]
  await assert.rejects(confirmed(batch, [forwarded, duplicate, duplicate]))
  await assert.rejects(confirmed(batch, [duplicate, duplicate, duplicate]))
  confirms = true
  assert.deepEqual(await confirmed(batch, [duplicate, duplicate, duplicate]), [forwarded, duplicate, duplicate])
  assert.deepEqual(await confirmed(batch, [duplicate, duplicate, duplicate]), [duplicate, duplicate, duplicate])
})

test('a consumer whose queue’s replica lags counts its entries as forwarded, once', async (t) => {
  const [stream, { primary, replica }] = [await startRedis(t), await openServers(t, {})]
  const fixture = openPipeline(t, stream, { sink: { redis: { url: primary.url } } })
  const consumer = await fixture.start('c1')
  await replica?.kill('SIGSTOP')
  await fixture.add(5)
  await consumer.logged(/no replica confirmed/)
  await replica?.kill('SIGCONT')
  await eventually(async () => assert.deepEqual(await fixture.pending(), []))
  assert.equal(await consumer.metric('stream_consumer_settled_total{outcome="forwarded"'), 5)
  assert.equal(await consumer.metric('stream_consumer_settled_total{outcome="duplicate"'), 0)
  assert.equal(await consumer.metric('stream_consumer_unconfirmed_batches_total'), 0)
})

test('a consumer logs ReplicationUnconfirmed and counts the batches that no replica confirmed', async (t) => {
  const [stream, { primary }] = [await startRedis(t), await openServers(t, {})]
  const proxy = await startProxy(t, primary, { refuse: ['WAIT'] })
  const fixture = openPipeline(t, stream, { sink: { redis: { url: proxy.url } } })
  const consumer = await fixture.start('c1')
  await fixture.add(5)
  await eventually(async () => (await primary.client().llen(`${fixture.queueKey}:wait`)) === 5)
  await eventually(async () => assert.deepEqual(await fixture.pending(), []))
  await eventually(() => consumer.log().some(({ code }) => code === 'ReplicationUnconfirmed'))
  await eventually(async () => (await consumer.metric('stream_consumer_unconfirmed_batches_total')) > 0)
})
