/** Failed jobs become dead letters: once each, with their payload. No foreign job is touched. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import { DelayedError, FlowProducer, type Job, RateLimitError, UnrecoverableError, WaitingChildrenError, Worker } from 'bullmq'
import { createSweeper } from '../../../redis/deadletters/capture.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import type { PathKind } from '../../../redis/settle/path.ts'
import { openPipeline } from '../../consumer/fixture.ts'
import { deadLettersOf, sweeperOf } from '../../paths/failing.ts'
import { kindsOf, type OpenPath, openPath, type PathChanges, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { openRights, type Rights } from '../../support/rights.ts'
import { eventually } from '../../support/wait.ts'

let servers: Servers
let rights: Rights
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
  rights = await openRights(stream, queue)
})

/** Three rounds, in each of which Redis refuses the command. */
async function sweepRefused(path: OpenPath, command: string) {
  await rights.without([command], async () => {
    for (let tries = 0; tries < 3; tries++)
      await sweeperOf(path)
        .sweep()
        .catch(() => undefined)
  })
}

/** Works until `failed` jobs have failed, each as its payload demands. */
async function fail(t: TestContext, path: OpenPath, failed: number, how: () => Error = () => new Error('not today')) {
  const throwing = async () => {
    throw how()
  }
  const worker = new Worker(path.target.queue, throwing, {
    connection: path.queueServer.client({ maxRetriesPerRequest: null }),
    prefix: path.target.prefix,
  })
  worker.on('error', () => undefined)
  t.after(() => worker.close())
  await eventually(async () => (await path.queueClient.zcard(`${path.queueKey}failed`)) === failed, { timeoutMs: 60_000 })
  await worker.close()
}

for (const kind of pathKinds) describe(`${kind}:`, () => suite(kind))

function suite(kind: PathKind) {
  const removes = kind !== 'Portable'
  const swept = (count: number) => (removes ? { removed: count, kept: 0 } : { removed: 0, kept: count })
  const open = (t: TestContext, changes: PathChanges = {}) =>
    openPath(t, kind, servers, { jobOptions: { attempts: 1, removeOnFail: false }, ...changes })

  test('a failed job becomes a record with the bytes of its entry, and is removed if BullMQ’s removal is known', async (t) => {
    const path = await open(t)
    const binaryName = Buffer.from('name ä\u0000')
    const id = await path.put('k', 'a', binaryName, 'value \u0001', 'sp-redrives', '2', 'traceparent', '00-ab-cd-01')
    assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded'])
    await fail(t, path, 1)
    const sweeper = sweeperOf(path)
    assert.deepEqual(await sweeper.sweep(), swept(1))
    const [letter] = await path.dead()
    assert.deepEqual([letter?.reason, letter?.error, letter?.originalId, letter?.deliveries], ['JobFailed', 'not today', id, 1])
    assert.deepEqual([letter?.redrives, letter?.firstSeen], [2, Number(id.split('-')[0])])
    const expected = ['k', 'a', binaryName, 'value \u0001', 'sp-redrives', '2', 'traceparent', '00-ab-cd-01']
    assert.deepEqual(
      letter?.payload,
      expected.map((part) => Buffer.from(part as string)),
    )
    assert.equal(path.id('a').endsWith('-'), false)
    assert.equal(await path.queueClient.zcard(`${path.queueKey}failed`), removes ? 0 : 1)
    assert.deepEqual(await sweeper.sweep(), swept(0), 'a second round finds nothing')
    assert.equal((await path.dead()).length, 1)
  })

  test('its entry trimmed: the payload is made again from the job, numbers exact', async (t) => {
    const properties = { k: { type: 'string' }, n: { type: 'number' }, big: { type: 'integer' }, deep: { type: 'object' } }
    const path = await open(t, { payload: { schema: { type: 'object', properties } } })
    const sent = [
      'k',
      'a',
      'n',
      '0.30000000000000004',
      'big',
      '9007199254740991',
      'deep',
      '{"id":"12345678901234567890","x":[1e+21,-0.1]}',
    ]
    await path.put(...sent)
    await path.settle(await path.read())
    await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
    await fail(t, path, 1)
    // By now the schema is stricter. A request that it refuses must not be lost altogether.
    const stricter = {
      ...path.pipeline.payload,
      schema: { type: 'object', properties: { ...properties, k: { type: 'string', maxLength: 0 } } },
    }
    assert.deepEqual(await createSweeper({ ...path.connections, codec: createCodec(stricter) }).sweep(), swept(1))
    const [letter] = await path.dead()
    assert.deepEqual(letter?.payload.map(String), sent)
  })

  test('unrecoverable and stalled jobs fail before their attempts are used up, and are taken', async (t) => {
    const path = await open(t, { jobOptions: { attempts: 3, removeOnFail: false } })
    await path.putKeys('a')
    await path.settle(await path.read())
    await fail(t, path, 1, () => new UnrecoverableError('never'))
    await path.putKeys('b')
    await path.settle(await path.read())
    // A worker that died: the job is active, its lock is gone, and the next look finds it stalled once too often.
    const { queueClient, queueKey, id } = path
    await queueClient.lmove(`${queueKey}wait`, `${queueKey}active`, 'RIGHT', 'LEFT')
    await queueClient.del(`${queueKey}stalled-check`)
    const worker = new Worker(path.target.queue, async () => undefined, {
      connection: path.queueServer.client({ maxRetriesPerRequest: null }),
      prefix: path.target.prefix,
      stalledInterval: 50,
      maxStalledCount: 0,
    })
    worker.on('error', () => undefined)
    t.after(() => worker.close())
    await eventually(async () => (await queueClient.zscore(`${queueKey}failed`, id('b'))) !== null)
    await worker.close()
    assert.deepEqual(await sweeperOf(path).sweep(), swept(2))
    assert.deepEqual((await path.dead()).map(({ error }) => error).toSorted(), ['job stalled more than allowable limit', 'never'])
  })

  test('a job whose handler delays it, rate-limits it or lets it wait for children has not failed, and is not captured', async (t) => {
    const path = await open(t)
    await path.putKeys('delayed', 'parent', 'limited')
    await path.settle(await path.read())
    const moved = new Set<string>()
    const worker = new Worker(
      path.target.queue,
      async (job: Job) => {
        moved.add(job.data.k)
        if (job.data.k === 'delayed') {
          await job.moveToDelayed(Date.now() + 3_600_000, job.token)
          throw new DelayedError()
        }
        if (job.data.k === 'limited') {
          await path.queue.rateLimit(3_600_000)
          throw new RateLimitError()
        }
        const parent = { id: job.id ?? '', queue: job.queueQualifiedName }
        await path.queue.add('child', {}, { parent, delay: 3_600_000 })
        await job.moveToWaitingChildren(job.token ?? '')
        throw new WaitingChildrenError()
      },
      {
        connection: path.queueServer.client({ maxRetriesPerRequest: null }),
        prefix: path.target.prefix,
        limiter: { max: 100, duration: 1 },
      },
    )
    worker.on('error', () => undefined)
    t.after(() => worker.close())
    const states = async () =>
      await Promise.all(['delayed', 'parent', 'limited'].map((key) => path.queue.getJobState(path.id(key))))
    await eventually(async () => moved.size === 3 && (await states()).every((state) => state !== 'active'))
    await worker.close()
    assert.deepEqual(await sweeperOf(path).sweep(), swept(0))
    assert.deepEqual([await path.queueClient.zcard(`${path.queueKey}failed`), await path.dead()], [0, []])
  })

  test('a job that was retried in between is not touched; failed again it is recorded again', async (t) => {
    const path = await open(t)
    await path.putKeys('a', 'b')
    await path.settle(await path.read())
    await fail(t, path, 2)
    const sweeper = sweeperOf(path)
    await (await path.queue.getJob(path.id('a')))?.retry()
    assert.deepEqual(await sweeper.sweep(), swept(1))
    assert.deepEqual(await path.live(), [path.id('a')])
    await fail(t, path, removes ? 1 : 2)
    assert.deepEqual(await sweeper.sweep(), swept(1))
    assert.deepEqual(
      (await path.dead()).map(({ payload }) => String(payload[1])),
      ['b', 'a'],
    )
  })

  test('two sweepers at once, again and again: one record each', async (t) => {
    const path = await open(t)
    const keys = Array.from({ length: 60 }, (_, i) => `k${i}`)
    await path.putKeys(...keys)
    await path.settle(await path.read())
    await fail(t, path, keys.length)
    const second = { ...path, connections: await path.openSettlePath() }
    const sweepers = [sweeperOf(path), sweeperOf(second), sweeperOf(path), sweeperOf(second)]
    await Promise.all(sweepers.map((sweeper) => sweeper.sweep()))
    const letters = await path.dead()
    assert.deepEqual(letters.map(({ payload }) => String(payload[1])).toSorted(), keys.toSorted())
    assert.equal(await path.queueClient.zcard(`${path.queueKey}failed`), removes ? 0 : keys.length)
  })

  test('jobs of others in the same queue are left alone', async (t) => {
    const path = await open(t)
    const neighbour = await open(t, { sink: { queue: path.target.queue }, source: { stream: `{${path.target.queue}}:other` } })
    await path.queue.add('foreign', { k: 'x' }, { jobId: 'theirs' })
    await path.putKeys('mine')
    await path.settle(await path.read())
    await neighbour.putKeys('neighbour')
    await neighbour.settle(await neighbour.read())
    await fail(t, path, 3)
    assert.deepEqual(await sweeperOf(path).sweep(), swept(1))
    assert.ok(await path.queueClient.zscore(`${path.queueKey}failed`, 'theirs'))
    assert.ok(await path.queueClient.zscore(`${path.queueKey}failed`, neighbour.id('neighbour')))
    assert.deepEqual(await neighbour.dead(), [])
  })

  test('jobs with a parent or children: one record, and they stay', async (t) => {
    const path = await open(t)
    const flow = new FlowProducer({
      connection: path.queueServer.client({ maxRetriesPerRequest: null }),
      prefix: path.target.prefix,
    })
    flow.on('error', () => undefined)
    t.after(() => flow.close())
    const { queue: queueName } = path.target
    await flow.add({
      name: 'parent',
      queueName,
      children: [{ name: 'child', queueName, data: { k: 'child' }, opts: { jobId: path.id('child'), attempts: 1 } }],
    })
    await fail(t, path, 1)
    const sweeper = sweeperOf(path)
    assert.deepEqual(await sweeper.sweep(), { removed: 0, kept: 1 })
    assert.deepEqual(await sweeper.sweep(), { removed: 0, kept: 0 })
    assert.deepEqual(
      (await path.dead()).map(({ reason }) => reason),
      ['JobFailed'],
    )
    assert.equal(await path.queueClient.zcard(`${path.queueKey}waiting-children`), 1, 'the parent still waits')
    assert.ok(await path.queueClient.zscore(`${path.queueKey}failed`, path.id('child')))
  })

  test('a record that cannot be written leaves its job', async (t) => {
    const path = await open(t)
    await path.putKeys('a')
    await path.settle(await path.read())
    await fail(t, path, 1)
    await path.stream.set(path.place.deadLetters, 'text')
    await assert.rejects(sweeperOf(path).sweep())
    assert.equal(await path.queueClient.zcard(`${path.queueKey}failed`), 1)
    await path.stream.del(path.place.deadLetters)
    assert.deepEqual(await sweeperOf(path).sweep(), swept(1))
  })

  for (const command of ['xadd', 'set']) {
    test(`${command} refused to the capture: no failed job goes without its record`, async (t) => {
      const path = await open(t)
      await path.putKeys('a')
      await path.settle(await path.read())
      await fail(t, path, 1)
      await sweepRefused(path, command)
      await sweeperOf(path).sweep()
      assert.deepEqual(
        (await path.dead()).map(({ payload }) => String(payload[1])),
        ['a'],
        `the job itself is ${(await path.queueClient.exists(path.jobKey('a'))) === 1 ? 'there' : 'gone'}`,
      )
    })
  }

  test('a captured job is replayed: its job makes way, and the entry is forwarded anew', async (t) => {
    const path = await open(t)
    await path.putKeys('a')
    await path.settle(await path.read())
    await fail(t, path, 1)
    await sweeperOf(path).sweep()
    const letters = deadLettersOf(path)
    const [record] = await Array.fromAsync(letters.list({}))
    assert.ok(record)
    assert.equal((await letters.replay(record)).kind, 'replayed')
    assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded'])
    assert.deepEqual([await path.live(), await path.dead()], [[path.id('a')], []])
  })

  test('a captured job that is retried in the moment of its replay is one job in the end', async (t) => {
    const path = await open(t)
    const letters = deadLettersOf(path)
    const keys = Array.from({ length: 12 }, (_, i) => `k${i}`)
    await path.putKeys(...keys)
    await path.settle(await path.read())
    await fail(t, path, keys.length)
    // As a portable consumer leaves it, also where the path removes: the record stands beside its failed job.
    const failedJobs = await Promise.all(keys.map(async (key) => (await path.queue.getJob(path.id(key))) ?? assert.fail(key)))
    const dumps = await Promise.all(keys.map((key) => path.queueClient.dumpBuffer(path.jobKey(key))))
    await sweeperOf(path).sweep()
    for (const [index, key] of keys.entries()) {
      await path.queueClient.call('RESTORE', path.jobKey(key), '0', dumps[index] ?? '', 'REPLACE')
      await path.queueClient.zadd(`${path.queueKey}failed`, Date.now(), path.id(key))
    }
    const records = await Array.fromAsync(letters.list({}))
    assert.equal(records.length, keys.length)
    const outcomes = await Promise.all(
      records.map(async (record, index) => {
        const job = failedJobs[keys.indexOf(String(record.payload[1]))] ?? assert.fail()
        // Half of them have been retried by then.
        if (index % 2 === 0) await job.retry()
        const [outcome] = await Promise.all([
          letters.replay(record),
          index % 2 === 0 ? undefined : job.retry().catch(() => undefined),
        ])
        return outcome.kind
      }),
    )
    assert.deepEqual(
      outcomes.filter((_, index) => index % 2 === 0),
      Array<string>(keys.length / 2).fill('busy'),
    )
    await path.settle(await path.read())
    assert.deepEqual((await path.live()).toSorted(), keys.map(path.id).toSorted())
    const busy = outcomes.filter((kind) => kind === 'busy').length
    assert.equal((await path.dead()).length, busy)
  })

  test('a full dead-letter stream: the jobs stay failed, nothing is pushed out; with room they are recorded, once', async (t) => {
    const path = await open(t, { deadLetter: { maxEntries: 2 } })
    await path.putKeys('a', 'b', 'c')
    await path.settle(await path.read())
    await fail(t, path, 3)
    const sweeper = sweeperOf(path)
    assert.deepEqual(await sweeper.sweep(), swept(2))
    for (let round = 0; round < 2; round++) assert.deepEqual(await sweeper.sweep(), swept(0))
    assert.equal((await path.dead()).length, 2)
    await path.stream.xtrim(path.place.deadLetters, 'MAXLEN', 1)
    assert.deepEqual(await sweeper.sweep(), swept(1))
    assert.equal(new Set((await path.dead()).map(({ payload }) => String(payload[1]))).size, 2)
    assert.deepEqual(await sweeper.sweep(), swept(0))
  })

  test('a job whose hash was overwritten is recorded all the same', async (t) => {
    const path = await open(t)
    await path.putKeys('a', 'b')
    await path.settle(await path.read())
    await fail(t, path, 2)
    await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
    await path.queueClient.hset(path.jobKey('a'), 'data', '{"broken', 'opts', 'no JSON')
    assert.deepEqual(await sweeperOf(path).sweep(), swept(2))
    const payloads = (await path.dead()).map(({ payload }) => String(payload[1])).toSorted()
    assert.deepEqual(payloads, ['b', '{"broken'])
  })
}

test('the queue elsewhere, and a crash between record and removal: one record, and the next round removes', async (t) => {
  const path = await openPath(t, 'Split', servers, { jobOptions: { attempts: 1, removeOnFail: false } })
  await path.putKeys('a')
  await path.settle(await path.read())
  await fail(t, path, 1)
  // Each removal is refused, which leaves the state of a crash at that point.
  await rights.without(['smembers', 'zrem'], async () => {
    for (let tries = 0; tries < 3; tries++) await assert.rejects(sweeperOf(path).sweep())
  })
  assert.equal((await path.dead()).length, 1)
  await sweeperOf(path).sweep()
  assert.equal((await path.dead()).length, 1)
  assert.equal(await path.queueClient.zcard(`${path.queueKey}failed`), 0)
})

test('together, and the removal refused half-way: one record, and the next round removes', async (t) => {
  const path = await openPath(t, 'Atomic', servers, { jobOptions: { attempts: 1, removeOnFail: false } })
  await path.putKeys('a', 'b')
  await path.settle(await path.read())
  await fail(t, path, 2)
  for (const command of ['smembers', 'zrem', 'del', 'hset', 'xadd']) await sweepRefused(path, command)
  await sweeperOf(path).sweep()
  assert.deepEqual((await path.dead()).map(({ payload }) => String(payload[1])).toSorted(), ['a', 'b'])
  assert.equal(await path.queueClient.zcard(`${path.queueKey}failed`), 0)
})

test('failedJobs: Leave leaves them; Capture takes them within a round of maintenance', async (t) => {
  const pipelines = await Promise.all(
    (['Leave', 'Capture'] as const).map(async (failedJobs) => {
      const name = `kept-${failedJobs.toLowerCase()}`
      const jobOptions = { attempts: 1 }
      const fixture = openPipeline(t, servers.stream, {
        source: { stream: `{${name}}:jobs` },
        sink: { queue: name, jobOptions },
        deadLetter: { failedJobs },
      })
      await fixture.add(1)
      const worker = new Worker(name, async () => Promise.reject(new Error('no')), {
        connection: servers.stream.client({ maxRetriesPerRequest: null }),
      })
      worker.on('error', () => undefined)
      t.after(() => worker.close())
      await fixture.start('pod-0')
      return { ...fixture, name }
    }),
  )
  const [leave, capture] = pipelines
  assert.ok(leave && capture)
  await eventually(async () => (await capture.dead()).length === 1, { timeoutMs: 60_000 })
  await eventually(async () => (await capture.redis.zcard(`bull:${capture.name}:failed`)) === 0)
  await eventually(async () => (await leave.redis.zcard(`bull:${leave.name}:failed`)) === 1)
  assert.deepEqual(await leave.dead(), [])
})
