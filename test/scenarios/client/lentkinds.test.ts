/**
 * Connections that an application lends: each kind works as a connection of the library would, or is refused with the kind to pass
 * instead.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import type { RedisInput } from '../../../client/lent.ts'
import { createWorker } from '../../../client/worker.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { monitorOf } from '../../support/monitor.ts'
import { type ClientOptions, startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { eventually } from '../../support/wait.ts'

const server = await startRedis({ after })
const pipeline = pipelineWith({ url: server.url })
beforeEach(async () => {
  await server.client().flushall()
})

const silent = { env: {}, onError: () => undefined }

async function dispatchBy(scope: Scope, mode: 'Stream' | 'Direct', redis: RedisInput, payload = { k: 1 }) {
  const dispatcher = createDispatcher({ pipeline, mode, redis, ...silent })
  scope.after(() => dispatcher.close())
  return await dispatcher.dispatch(payload)
}

function refusedAs(code: string, named: RegExp) {
  return (thrown: unknown) => {
    assert.ok(thrown instanceof StreamPipelineError, String(thrown))
    assert.equal(thrown.code, code, thrown.advice)
    assert.match(thrown.advice, named)
    return true
  }
}

const nothingWritten = async () => assert.equal(await server.client().info('keyspace'), '# Keyspace\r\n')

const working: readonly (readonly [what: string, options: ClientOptions])[] = [
  ['opened at its first command', { lazyConnect: true }],
  ['without an offline queue', { enableOfflineQueue: false }],
  ['opened at its first command, without an offline queue', { lazyConnect: true, enableOfflineQueue: false }],
  ['with an empty keyPrefix', { keyPrefix: '' }],
  ['that pipelines by itself', { enableAutoPipelining: true }],
  ['that speaks RESP2', { protocol: 2 }],
  ['without a ready check', { enableReadyCheck: false }],
  ['that sends nothing again', { maxRetriesPerRequest: 0 }],
]
for (const [what, options] of working) {
  test(`a connection ${what} works`, async (t) => {
    const stream = await dispatchBy(t, 'Stream', server.client(options))
    const direct = await dispatchBy(t, 'Direct', server.client(options))
    assert.deepEqual([stream.mode, direct.mode], ['Stream', 'Direct'])
    const plain = server.client()
    assert.equal(await plain.xlen(streamPlace(pipeline).stream), 1)
    assert.equal(await plain.llen('bull:ndvi:wait'), 1)
    const done: object[] = []
    const execute = (payload: object) => void done.push(payload)
    const worker = createWorker({ queue: 'ndvi', redis: server.client(options), execute, onError: () => undefined })
    t.after(() => worker.close())
    await worker.start()
    await eventually(() => assert.deepEqual(done, [{ k: '1' }]))
  })
}

const refused: readonly (readonly [what: string, options: ClientOptions, named: RegExp])[] = [
  ['that reads from replicas', { readOnly: true }, /primary/],
  [
    'to whichever replica its sentinels name',
    { sentinels: [{ port: 1 }], name: 'm', role: 'slave', lazyConnect: true },
    /primary/,
  ],
]
for (const [what, options, named] of refused) {
  test(`a connection ${what} is refused when it is passed`, async () => {
    const redis = server.client(options)
    for (const make of [
      () => void createDispatcher({ pipeline, redis, ...silent }),
      () => void createWorker({ queue: 'ndvi', redis, execute: () => undefined }),
    ])
      assert.throws(make, refusedAs('InvalidOption', named))
    await nothingWritten()
  })
}

test('a connection whose database was changed since it was made is refused before anything is sent', async (t) => {
  const redis = server.client()
  await redis.select(3)
  for (const mode of ['Stream', 'Direct'] as const) {
    await assert.rejects(dispatchBy(t, mode, redis), refusedAs('InvalidOption', /database 3.*database 0/))
  }
  await nothingWritten()
})

const busy: readonly (readonly [what: string, make: () => Promise<RedisInput>, named: RegExp])[] = [
  [
    'that its owner has ended',
    async () => {
      const redis = server.client()
      await redis.quit()
      await eventually(() => assert.equal(redis.status, 'end'))
      return redis
    },
    /ended by its owner/,
  ],
  [
    'that subscribes in RESP2',
    async () => {
      const redis = server.client({ protocol: 2 })
      await redis.subscribe('news')
      return redis
    },
    /subscriber mode/,
  ],
  ['that monitors', async () => await monitorOf({ after }, server), /monitor mode/],
]
for (const [what, make, named] of busy) {
  test(`a connection ${what} is refused, with what to pass`, async (t) => {
    const redis = await make()
    for (const mode of ['Stream', 'Direct'] as const) {
      await assert.rejects(dispatchBy(t, mode, redis), refusedAs('InvalidOption', named))
    }
  })
}

test('a worker works in the database that its connection has selected', async (t) => {
  const redis = server.client()
  await redis.select(3)
  const done: object[] = []
  const worker = createWorker({ queue: 'ndvi', redis, execute: (payload: object) => void done.push(payload) })
  t.after(() => worker.close())
  await worker.start()
  const there = pipelineWith({ url: `${server.url}/3` })
  const dispatcher = createDispatcher({ pipeline: there, mode: 'Direct', redis, ...silent })
  t.after(() => dispatcher.close())
  await dispatcher.dispatch({ k: 1 })
  await eventually(() => assert.deepEqual(done, [{ k: '1' }]))
})

test('a connection that is in database 0 because its SELECT was refused is not accepted for another database', async (t) => {
  const far = pipelineWith({ url: `${server.url}/99` })
  const dispatcher = createDispatcher({ pipeline: far, mode: 'Stream', redis: server.client({ db: 99 }), ...silent })
  t.after(() => dispatcher.close())
  await assert.rejects(dispatcher.dispatch({ k: 1 }), refusedAs('InvalidOption', /database 0.*database 99/))
  await nothingWritten()
})

test('the database is known also where a Secret names it, and where only the queue is elsewhere', async (t) => {
  const refs = await mkdtemp(join(tmpdir(), 'streampipeline-refs-'))
  t.after(() => rm(refs, { recursive: true }))
  await mkdir(join(refs, 'secret', 'redis'), { recursive: true })
  await writeFile(join(refs, 'secret', 'redis', 'url'), `${server.url}/2`)
  const from = { urlFrom: { secretKeyRef: { name: 'redis', key: 'url' } } }
  const secret = createDispatcher({ pipeline: pipelineWith({ redis: from }), refs, redis: server.client({ db: 1 }), ...silent })
  const right = createDispatcher({ pipeline: pipelineWith({ redis: from }), refs, redis: server.client({ db: 2 }), ...silent })
  const queue = pipelineWith({ url: server.url, sink: { redis: { url: `${server.url}/4` } } })
  t.after(() => Promise.all([secret.close(), right.close()]))
  await assert.rejects(secret.dispatch({ k: 1 }), refusedAs('InvalidOption', /database 1.*database 2/))
  await nothingWritten()
  await right.dispatch({ k: 1 })
  assert.throws(
    () => createDispatcher({ pipeline: queue, queueRedis: server.client({ db: 5 }), ...silent }),
    refusedAs('InvalidOption', /queueRedis.*database 5.*database 4/),
  )
  assert.throws(
    () => createDispatcher({ pipeline, redis: `${server.url}/7`, ...silent }),
    refusedAs('InvalidOption', /database 7.*database 0/),
  )
})

test('a connection to a replica is refused, by a dispatcher and a worker', async (t) => {
  const replica = await startRedis(t, { args: ['--replicaof', server.host, String(server.port)] })
  const redis = replica.client()
  await eventually(async () => /master_link_status:up/.test(await redis.info('replication')))
  for (const mode of ['Stream', 'Direct'] as const) {
    await assert.rejects(dispatchBy(t, mode, redis), refusedAs('RedisNotReady', /primary/))
  }
  for (const given of [redis, replica.url]) {
    const worker = createWorker({ queue: 'ndvi', redis: given, execute: () => undefined, onError: () => undefined })
    t.after(() => worker.close())
    await assert.rejects(worker.start(), refusedAs('RedisNotReady', /primary/))
  }
  await nothingWritten()
})

test('what BullMQ refuses to make is an error of the catalogue, and leaves no connection', async (t) => {
  const worker = createWorker({
    queue: 'ndvi',
    redis: server.url,
    execute: () => undefined,
    bullmq: { stalledInterval: -1 },
  })
  t.after(() => worker.close())
  await assert.rejects(worker.start(), refusedAs('InvalidOption', /stalledInterval/))
  await eventually(async () => !/bullworker/.test(String(await server.client().client('LIST'))))
})
