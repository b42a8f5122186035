import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { DelayedError, type JobsOptions, Queue, RateLimitError, WaitingChildrenError, WaitingError } from 'bullmq'
import { Registry } from 'prom-client'
import { StreamPipelineError } from '../../api/errors.ts'
import type { WorkerJob } from '../../client/job.ts'
import { createWorker } from '../../client/worker.ts'
import type { WorkerOptions } from '../../client/workeroptions.ts'
import { executionLock } from '../../redis/keys.ts'
import { freePort } from '../support/port.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { silentAfterFirst } from '../support/silentway.ts'
import { eventually } from '../support/wait.ts'

interface Work {
  readonly request: string
}

const server = await startRedis({ after })

let queues = 0
function openQueue(t: TestContext, at: RedisServer = server) {
  const name = `work-${++queues}`
  const queue = new Queue<Work>(name, { connection: at.client({ maxRetriesPerRequest: null }) })
  queue.on('error', () => undefined)
  t.after(() => queue.close())
  return { name, queue, add: (request: string, more: JobsOptions = {}) => queue.add('compute', { request }, more) }
}

async function startWorker(
  t: TestContext,
  options: Omit<WorkerOptions<Work, unknown>, 'redis'> & Partial<Pick<WorkerOptions<Work, unknown>, 'redis'>>,
  at: RedisServer = server,
) {
  const worker = createWorker<Work>({ redis: at.url, onError: () => undefined, ...options })
  t.after(() => worker.close())
  await worker.start()
  return worker
}

async function outcomes(worker: { registry: Registry }) {
  const metric = await worker.registry.getSingleMetric('job_executions_total')?.get()
  return Object.fromEntries(metric?.values.filter((sample) => sample.value > 0).map((s) => [s.labels['outcome'], s.value]) ?? [])
}

test('a job runs with its payload, its key and a signal, and its result is the job’s', async (t) => {
  const { name, queue, add } = openQueue(t)
  const seen: unknown[] = []
  const worker = await startWorker(t, {
    queue: name,
    execute: (payload, { key, signal }) => {
      seen.push([payload, key, signal.aborted])
      return { area: 12 }
    },
  })
  const job = await add('a', { jobId: 'e-scope-hash' })
  await eventually(async () => (await queue.getJobCounts('completed'))['completed'] === 1)
  assert.deepEqual(seen, [[{ request: 'a' }, 'e-scope-hash', false]])
  assert.deepEqual((await queue.getJob(job.id ?? ''))?.returnvalue, { area: 12 })
  assert.deepEqual(await outcomes(worker), { completed: 1 })
  assert.equal(await server.client().exists(executionLock('bull', name, 'e-scope-hash')), 0)
})

test('two workers never run one key at a time, and the second run finds it terminal', async (t) => {
  const { name, queue, add } = openQueue(t)
  const finished = new Set<string>()
  const running = new Map<string, number>()
  const executions: string[] = []
  const gate = Promise.withResolvers<void>()
  t.after(() => gate.resolve())
  const options = {
    queue: name,
    concurrency: 4,
    postponeMs: 50,
    key: (job: { data: Work }) => job.data.request,
    isTerminal: ({ request }: Work) => finished.has(request),
    execute: async ({ request }: Work) => {
      running.set(request, (running.get(request) ?? 0) + 1)
      assert.equal(running.get(request), 1, 'two runs of one key at a time')
      executions.push(request)
      await gate.promise
      running.set(request, 0)
      finished.add(request)
    },
  }
  const workers = [await startWorker(t, options), await startWorker(t, options)]
  const total = async (outcome: string) =>
    (await Promise.all(workers.map(outcomes))).reduce((sum, each) => sum + (each[outcome] ?? 0), 0)
  for (let i = 0; i < 12; i++) await add(`r${i % 3}`, { attempts: 1 })
  await eventually(async () => executions.length === 3 && (await total('postponed')) > 0, { timeoutMs: 15_000 })
  gate.resolve()
  await eventually(async () => (await queue.getJobCounts('completed'))['completed'] === 12, { timeoutMs: 15_000 })
  assert.deepEqual(executions.toSorted(), ['r0', 'r1', 'r2'])
  assert.equal((await queue.getJobCounts('failed'))['failed'], 0, 'postponing used up attempts')
  assert.deepEqual([await total('completed'), await total('skipped'), await total('failed')], [3, 9, 0])
})

test('work in a terminal state is not run: the job completes as skipped', async (t) => {
  const { name, queue, add } = openQueue(t)
  const worker = await startWorker(t, { queue: name, isTerminal: async () => true, execute: () => assert.fail('it ran') })
  const job = await add('a')
  await eventually(async () => (await queue.getJob(job.id ?? ''))?.finishedOn !== undefined)
  assert.deepEqual((await queue.getJob(job.id ?? ''))?.returnvalue, { skipped: 'Terminal' })
  assert.deepEqual(await outcomes(worker), { skipped: 1 })
})

test('a lost lock aborts the handler’s signal, fails the attempt as ExecutionLockLost, and the job runs again', async (t) => {
  const { name, queue, add } = openQueue(t)
  const reasons: unknown[] = []
  const worker = await startWorker(t, {
    queue: name,
    lockTtlMs: 300,
    execute: async (_, { signal, job, key }) => {
      if (job.attemptsMade > 0) return 'second run'
      await server.client().set(executionLock('bull', name, key), 'another worker', 'PX', 200)
      await delay(10_000, undefined, { signal }).catch(() => reasons.push(signal.reason))
      return 'a result nobody may trust'
    },
  })
  const job = await add('a', { jobId: 'e-lost', attempts: 2, backoff: { type: 'fixed', delay: 250 } })
  await eventually(async () => (await queue.getJob('e-lost'))?.returnvalue === 'second run', { timeoutMs: 15_000 })
  assert.deepEqual(
    reasons.map((reason) => reason instanceof StreamPipelineError && reason.code),
    ['ExecutionLockLost'],
  )
  assert.equal((await queue.getJob(job.id ?? ''))?.attemptsMade, 2)
  assert.deepEqual(await outcomes(worker), { lock_lost: 1, completed: 1 })
})

/** Named as another copy of BullMQ would name its own. */
const named = (name: string) => Object.assign(new Error('moved'), { name })

const moves: readonly (readonly [what: string, move: (job: WorkerJob<Work>, queue: Queue<Work>) => Promise<never>])[] = [
  [
    'delays it',
    async (job) => {
      await job.moveToDelayed(Date.now() + 1, job.token)
      throw new DelayedError()
    },
  ],
  [
    'delays it, by another copy of BullMQ',
    async (job) => {
      await job.moveToDelayed(Date.now() + 1, job.token)
      throw named('DelayedError')
    },
  ],
  [
    'puts it back',
    async (job) => {
      await job.moveToWait(job.token)
      throw new WaitingError()
    },
  ],
  [
    'meets its rate limit',
    async (_, queue) => {
      await queue.rateLimit(1)
      throw new RateLimitError()
    },
  ],
  [
    'has it wait for a child',
    async (job, queue) => {
      const parent = { id: job.id ?? '', queue: job.queueQualifiedName }
      await queue.add('child', { request: 'child' }, { parent })
      assert.ok(await job.moveToWaitingChildren(job.token ?? ''))
      throw new WaitingChildrenError()
    },
  ],
]
for (const [what, move] of moves) {
  test(`a handler that moves its job is no failure: it ${what}`, async (t) => {
    const { name, queue, add } = openQueue(t)
    const moved = new Set<string>()
    const worker = await startWorker(t, {
      queue: name,
      execute: async ({ request }, { job }) => {
        if (request === 'child' || moved.has(request)) return
        moved.add(request)
        await move(job, queue)
      },
    })
    const failed: unknown[] = []
    worker.on('failed', (_, error) => failed.push(error))
    const job = await add('a', { attempts: 1 })
    await eventually(async () => (await queue.getJobState(job.id ?? '')) === 'completed')
    const { completed: _, ...others } = await outcomes(worker)
    assert.deepEqual(others, { moved: 1 })
    assert.deepEqual(failed, [])
    assert.equal((await queue.getJobCounts('failed'))['failed'], 0)
  })
}

test('a handler’s error fails the attempt and frees the lock', async (t) => {
  const { name, queue, add } = openQueue(t)
  const worker = await startWorker(t, {
    queue: name,
    execute: () => {
      throw new Error('no imagery for that day')
    },
  })
  await add('a', { jobId: 'e-fails' })
  const job = await eventually(async () => {
    const found = await queue.getJob('e-fails')
    return found?.failedReason === undefined || found.finishedOn === undefined ? null : found
  })
  assert.equal(job.failedReason, 'no imagery for that day')
  assert.deepEqual(await outcomes(worker), { failed: 1 })
  assert.equal(await server.client().exists(executionLock('bull', name, 'e-fails')), 0)
})

test('upstream calls are counted with their failures and durations, and errors pass through', async (t) => {
  const { name, add, queue } = openQueue(t)
  const registry = new Registry()
  const worker = await startWorker(t, {
    queue: name,
    registry,
    execute: async (_, { upstream }) => {
      const scene = await upstream('imagery', async () => 'scene')
      await assert.rejects(
        upstream('imagery', () => {
          throw new Error('503')
        }),
        /503/,
      )
      return scene
    },
  })
  await add('a')
  await eventually(async () => (await queue.getJobCounts('completed'))['completed'] === 1)
  assert.equal(await worker.upstream('weather', () => 21), 21)
  const text = await registry.metrics()
  const line = (metric: string, upstream: string) => `${metric}{queue="${name}",pipeline="${name}",upstream="${upstream}"}`
  for (const expected of [
    `${line('upstream_requests_total', 'imagery')} 2`,
    `${line('upstream_failures_total', 'imagery')} 1`,
    `${line('upstream_duration_seconds_count', 'imagery')} 2`,
    `${line('upstream_requests_total', 'weather')} 1`,
    `${line('upstream_failures_total', 'weather')} 0`,
    `job_executions_total{queue="${name}",pipeline="${name}",outcome="failed"} 0`,
  ]) {
    assert.ok(text.includes(`${expected}\n`), `missing: ${expected} in\n${text}`)
  }
})

test('metrics carry the pipeline and the namespace that the worker is given', async () => {
  const given = { queue: 'queue-of-another-name', pipeline: 'ndvi', namespace: 'farm' }
  const { registry } = createWorker({ ...given, redis: server.url, execute: () => undefined })
  const expected = 'job_executions_total{queue="queue-of-another-name",pipeline="ndvi",namespace="farm",outcome="failed"} 0'
  assert.ok((await registry.metrics()).includes(expected))
})

test('two workers share one registry', () => {
  const registry = new Registry()
  const options = { redis: server.url, registry, execute: () => undefined }
  assert.equal(createWorker({ ...options, queue: 'one' }).registry, createWorker({ ...options, queue: 'two' }).registry)
})

test('making a worker connects to nothing; starting it without Redis says so and can be repeated', async (t) => {
  const worker = createWorker({ queue: 'nowhere', redis: `redis://127.0.0.1:${await freePort()}`, execute: () => undefined })
  t.after(() => worker.close())
  const unreachable = (thrown: unknown) => thrown instanceof StreamPipelineError && thrown.code === 'RedisUnreachable'
  await assert.rejects(worker.start(), unreachable)
  await assert.rejects(worker.start(), unreachable)
})

test('start and close may be called twice; a closed worker does not start', async (t) => {
  const { name } = openQueue(t)
  const worker = await startWorker(t, { queue: name, execute: () => undefined })
  await worker.start()
  await Promise.all([worker.close(), worker.close()])
  await assert.rejects(worker.start(), (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'Closed')
})

test('closing waits for the running job and leaves the rest', async (t) => {
  const { name, queue, add } = openQueue(t)
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const worker = await startWorker(t, {
    queue: name,
    execute: async () => {
      begun.resolve()
      await gate.promise
    },
  })
  await add('running')
  await add('waiting')
  await begun.promise
  const closed = worker.close()
  gate.resolve()
  await closed
  const counts = await queue.getJobCounts('completed', 'waiting', 'active')
  assert.deepEqual([counts['completed'], counts['waiting'], counts['active']], [1, 1, 0])
})

test('closing does not wait for a Redis that is away', async (t) => {
  const own = await startRedis(t)
  const worker = await startWorker(t, { queue: 'away', execute: () => undefined }, own)
  await own.kill()
  assert.ok(await Promise.race([worker.close().then(() => true), delay(10_000, false, { ref: false })]))
})

test('closing waits for a job that runs while Redis is away, not for the release of the lock of that job', async (t) => {
  const own = await startRedis(t)
  t.after(() => own.start())
  const { name, add } = openQueue(t, own)
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const execute = async () => {
    begun.resolve()
    await gate.promise
  }
  const worker = await startWorker(t, { queue: name, execute }, own)
  await add('running')
  await begun.promise
  await own.kill()
  let ended = false
  const closed = worker.close().then(() => {
    ended = true
  })
  // Longer than it waits for Redis alone.
  await delay(4_000)
  assert.equal(ended, false)
  gate.resolve()
  assert.ok(await Promise.race([closed.then(() => true), delay(10_000, false, { ref: false })]))
})

test('closing does not wait for a start whose second connection hears nothing', async (t) => {
  const { url, taken, cut } = await silentAfterFirst(t, server)
  const worker = createWorker({ queue: 'silent', redis: url, execute: () => 'done', onError: () => undefined })
  const started = worker.start()
  await eventually(() => taken() === 2)
  const closed = await Promise.race([worker.close().then(() => true), delay(10_000, false, { ref: false })])
  cut()
  assert.ok(closed)
  await started
})

test('work goes on when Redis was restarted', async (t) => {
  const own = await startRedis(t, { appendonly: true })
  const { name, queue, add } = openQueue(t, own)
  await startWorker(t, { queue: name, execute: () => 'done' }, own)
  await own.restart('SIGKILL')
  const job = await add('after the restart')
  await eventually(async () => (await queue.getJob(job.id ?? ''))?.returnvalue === 'done', { timeoutMs: 15_000 })
})

test('a caller’s connection is duplicated, not taken over', async (t) => {
  const { name, queue, add } = openQueue(t)
  const connection = server.client()
  const worker = createWorker<Work>({ queue: name, redis: connection, execute: () => 'done' })
  await worker.start()
  await add('a')
  await eventually(async () => (await queue.getJobCounts('completed'))['completed'] === 1)
  await worker.close()
  assert.equal(await connection.ping(), 'PONG')
})

for (const { option, options } of [
  { option: 'queue', options: { queue: 'with:colon' } },
  { option: 'lockTtlMs', options: { lockTtlMs: 5 } },
  { option: 'concurrency', options: { concurrency: 0 } },
  { option: 'postponeMs', options: { postponeMs: Number.NaN } },
]) {
  test(`${option} is refused when it makes no sense`, () => {
    assert.throws(
      () => createWorker({ queue: 'q', redis: server.url, execute: () => undefined, ...options }),
      (thrown) => thrown instanceof StreamPipelineError && thrown.parameters['option'] === option,
    )
  })
}

test('a caller’s connection that queues nothing: the outcome of a run is still reported once Redis is back', async (t) => {
  const own = await startRedis(t, { appendonly: true })
  const { name, queue, add } = openQueue(t, own)
  const running = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  let runs = 0
  await startWorker(t, {
    queue: name,
    redis: own.client({ enableOfflineQueue: false, lazyConnect: true }),
    execute: async () => {
      runs++
      running.resolve()
      await ended.promise
      return 'done'
    },
  })
  const job = await add('through an outage')
  await running.promise
  const back = own.restart('SIGKILL')
  await delay(50)
  ended.resolve()
  await back
  await eventually(async () => (await queue.getJob(job.id ?? ''))?.returnvalue === 'done', { timeoutMs: 20_000 })
  assert.equal(runs, 1)
})

test('a caller’s time limits do not end BullMQ’s waits: no job has to wait for the next one to be taken', async (t) => {
  const { name, add } = openQueue(t)
  const executed: string[] = []
  await startWorker(t, {
    queue: name,
    redis: server.client({ commandTimeout: 200, socketTimeout: 400, blockingTimeout: 300 }),
    execute: ({ request }) => void executed.push(request),
  })
  for (let round = 1; round <= 4; round++) {
    // Long enough for each of these limits to have ended the wait that is under way.
    await delay(700)
    await add(`r${round}`)
    await eventually(() => executed.length === round, { timeoutMs: 4_000 })
  }
})
