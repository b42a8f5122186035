/** Sentinel: a failover while entries come in. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { close, connect, open } from '../../../redis/connect/connection.ts'
import { observe } from '../../../sampling/observe.ts'
import { eventually } from '../../support/wait.ts'
import { openTopology } from '../../topology/support/pipeline.ts'
import { masterName, startSentinels } from '../../topology/support/sentinel.ts'

test('a failover in mid-load: nothing acknowledged is lost, nothing is added twice', async (t) => {
  const setup = await startSentinels(t)
  const sentinels = setup.addresses.map((address) => ({ host: '127.0.0.1', port: Number(address.split(':')[1]) }))
  const redis = new Redis({ sentinels, name: masterName, maxRetriesPerRequest: 1 })
  redis.on('error', () => undefined)
  t.after(() => redis.disconnect())
  const topology = await openTopology(t, {
    spec: { redis: { sentinel: { master: masterName, nodes: setup.addresses } } },
    redis,
  })
  const consumer = await topology.start()
  assert.equal((await consumer.logged('forward path chosen'))['path'], 'Atomic')

  // Each number is added until its replica has it: only then does the producer count it as safe.
  const acknowledged: number[] = []
  let stop = false
  // From then on there is no replica to wait for.
  let promoted = false
  const produce = async () => {
    for (let id = 0; !stop; id++) {
      for (let done = false; !done && !stop; ) {
        try {
          await redis.xadd(topology.place.stream, '*', 'job_id', String(id))
          if (!promoted && Number(await redis.call('WAIT', '1', '200')) === 0) continue
          acknowledged.push(id)
          done = true
        } catch {
          // Unknown whether it was added: added again, the key makes that one job.
          await sleep(50)
        }
      }
    }
  }
  const producing = produce()
  t.after(() => {
    stop = true
  })
  await eventually(async () => (await topology.waiting()) > 150, { timeoutMs: 60_000 })
  await setup.primary.kill()
  const atKill = acknowledged.length
  await setup.promoted()
  promoted = true
  await eventually(() => acknowledged.length > atKill + 100, { timeoutMs: 60_000 })
  stop = true
  await producing
  await consumer.ready()
  await eventually(async () => (await topology.jobs()).length >= acknowledged.length, { timeoutMs: 60_000 })
  // An entry that was added and never acknowledged becomes a job as well.
  await eventually(async () => {
    const { undelivered, pending } = await observe(redis, topology.pipeline)
    return undelivered === 0 && pending === 0
  })
  const made = new Set(await topology.jobs())
  assert.deepEqual(
    acknowledged.filter((id) => !made.has(id)),
    [],
  )
  await topology.settled([...made])
  await eventually(() => consumer.log().some(({ code }) => code === 'RedisUnreachable' || code === 'RedisNotReady'))
  const dispatcher = createDispatcher<{ job_id: number }>({ pipeline: topology.document as never, mode: 'Direct', env: {} })
  t.after(() => dispatcher.close())
  assert.equal((await dispatcher.dispatch({ job_id: 0 })).mode, 'Direct')
  assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
})

test('a master that the sentinels do not know, sentinels that are away: reported soon, and found when they are back', async (t) => {
  const setup = await startSentinels(t)
  const nodes = setup.addresses.map((address) => ({ host: '127.0.0.1', port: Number(address.split(':')[1]) }))
  const base = { kind: 'Sentinel', nodes, database: 3, label: 'test (Sentinel)' } as const
  const unknown = connect({ ...base, master: 'unknown' }, 'Writer')
  t.after(() => close(unknown))
  await assert.rejects(open(unknown), ({ code, message }: StreamPipelineError) => {
    assert.equal(code, 'RedisUnreachable')
    assert.match(message, /No such master/)
    return true
  })

  const connections = (['Writer', 'Observer', 'Producer', 'Blocking'] as const).map((role) => {
    const connection = connect({ ...base, master: masterName }, role)
    t.after(() => close(connection))
    return connection
  })
  await Promise.all(connections.map((connection) => open(connection)))
  const [writer, observer, producer, blocking] = connections
  await writer?.set('database', 'three')
  assert.equal(await setup.primary.client({ db: 3 }).get('database'), 'three')
  await Promise.all([...setup.sentinels, setup.primary].map((server) => server.kill()))
  const waits = blocking?.get('database')
  for (const connection of [writer, observer, producer]) {
    const begun = performance.now()
    await eventually(
      async () =>
        await connection?.get('database').then(
          () => false,
          () => true,
        ),
    )
    assert.ok(performance.now() - begun < 15_000)
  }
  // First the primary: sentinels that miss it would promote the replica, and its data with it.
  await setup.primary.start()
  await Promise.all(setup.sentinels.map((server) => server.start()))
  for (const connection of [writer, observer, producer]) {
    await eventually(async () => (await connection?.ping()) === 'PONG', { timeoutMs: 60_000 })
  }
  assert.equal(await waits, null, 'what may wait without bound has waited')
})
