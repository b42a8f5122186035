/**
 * The layers between a request and a second execution, each with the one before it broken: the deterministic id of its job, the execution
 * lock, the token that alone releases it, and the recheck of terminal state. Late results are refused.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { Queue } from 'bullmq'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { createWorker, type Worker } from '../../../client/worker.ts'
import { executionLock } from '../../../redis/keys.ts'
import { type NdviRequest, ndviPipeline, ndviRequest } from '../../client/ndvi.ts'
import { lockTtlMs, recordsKey, stallsSoon } from '../../client/support/stoppableplan.ts'
import { startProcess } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { eventually } from '../../support/wait.ts'

interface Work {
  readonly request: string
}

const server = await startRedis({ after })
const patience = { timeoutMs: 60_000 }

function openQueue(t: TestContext, name: string) {
  const queue = new Queue<Work>(name, { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  return queue
}

async function outcomes({ registry }: Pick<Worker, 'registry'>) {
  const metric = await registry.getSingleMetric('job_executions_total')?.get()
  return Object.fromEntries(metric?.values.filter((sample) => sample.value > 0).map((s) => [s.labels['outcome'], s.value]) ?? [])
}

test('the id of its job: a request that is dispatched again while it runs makes no second job', async (t) => {
  const pipeline = ndviPipeline(server.url, (spec) => {
    spec.mode = 'Direct'
  })
  const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {}, timeoutMs: 30_000 })
  t.after(() => dispatcher.close())
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  t.after(() => gate.resolve())
  let executions = 0
  const worker = createWorker<NdviRequest>({
    queue: 'ndvi',
    redis: server.url,
    concurrency: 4,
    execute: async () => {
      executions += 1
      begun.resolve()
      await gate.promise
    },
  })
  t.after(() => worker.close())
  await worker.start()
  const first = await dispatcher.dispatch(ndviRequest(1))
  await begun.promise
  const again = await dispatcher.dispatchMany([ndviRequest(1), ndviRequest(1)])
  assert.deepEqual(
    again.map((result) => [result.jobId === first.jobId, result.mode === 'Direct' && result.outcome]),
    [
      [true, 'duplicate'],
      [true, 'duplicate'],
    ],
  )
  gate.resolve()
  await dispatcher.waitFor(first)
  assert.equal(executions, 1)
})

test('the lock: two workers forced onto one job, by a BullMQ lock that is never renewed, execute it once', async (t) => {
  const queue = openQueue(t, 'forced')
  const errors: string[] = []
  const executions: string[] = []
  const finished = new Set<string>()
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  t.after(() => gate.resolve())
  const start = async (name: string, bullmq: object) => {
    const worker = createWorker<Work>({
      ...{ queue: 'forced', redis: server.url, postponeMs: 200, bullmq },
      onError: (error) => errors.push(`${name}: ${error.message}`),
      isTerminal: ({ request }) => finished.has(request),
      execute: async ({ request }) => {
        executions.push(name)
        begun.resolve()
        await gate.promise
        finished.add(request)
        return name
      },
    })
    t.after(() => worker.close())
    await worker.start()
    return worker
  }
  // Longer than the test: BullMQ takes the job away from a worker that is well.
  const first = await start('first', { lockDuration: 500, lockRenewTime: 600_000, skipStalledCheck: true })
  const { id = '' } = await queue.add('work', { request: 'a' }, { jobId: 'e-forced', attempts: 1 })
  await begun.promise
  const second = await start('second', stallsSoon)
  const stalled: string[] = []
  second.on('stalled', (jobId) => stalled.push(jobId))
  await eventually(async () => ((await outcomes(second))['postponed'] ?? 0) > 0, patience)
  gate.resolve()
  await eventually(async () => (await queue.getJobState(id)) === 'completed', patience)
  assert.deepEqual(executions, ['first'])
  assert.deepEqual((await queue.getJob(id))?.returnvalue, { skipped: 'Terminal' })
  const [own, others] = [await outcomes(first), await outcomes(second)]
  assert.deepEqual([own['completed'], others['completed'] ?? 0], [1, 0])
  assert.equal((own['skipped'] ?? 0) + (others['skipped'] ?? 0), 1)
  // The first worker's result came too late for BullMQ.
  await eventually(() => assert.match(errors.join('\n'), /first: .*e-forced/))
})

for (const kind of ['guarded', 'heedless'] as const) {
  test(`the token: a ${kind} worker that is stopped past its locks does no harm when it goes on`, async (t) => {
    const name = `stopped-${kind}`
    const queue = openQueue(t, name)
    const program = join(projectRoot, 'test', 'client', 'support', 'stoppable.ts')
    const stopped = await startProcess(t, [program, server.url, name, kind])
    await stopped.output(/ready/, patience)
    const { id = '' } = await queue.add('work', { request: 'a' }, { jobId: 'e-stopped', attempts: 3 })
    await stopped.output(/begun/, patience)
    stopped.signal('SIGSTOP')

    const held = Promise.withResolvers<void>()
    t.after(() => held.resolve())
    const running = Promise.withResolvers<void>()
    const other = createWorker<Work>({
      ...{ queue: name, redis: server.url, lockTtlMs, bullmq: stallsSoon },
      execute: async ({ request }, { upstream }) => {
        running.resolve()
        await held.promise
        await upstream('records', async () => await server.client().rpush(recordsKey(name), `other ${request}`))
        return 'of the other worker'
      },
    })
    t.after(() => other.close())
    await other.start()
    await running.promise

    // It goes on while the other one runs: it must neither release that one's lock nor end the job.
    stopped.signal('SIGCONT')
    await stopped.output(/error|failed/, patience)
    assert.equal(await queue.getJobState(id), 'active')
    assert.equal(await server.client().exists(executionLock('bull', name, id)), 1)
    held.resolve()
    await eventually(async () => (await queue.getJobState(id)) === 'completed', patience)
    await stopped.stop('SIGTERM')
    assert.equal((await queue.getJob(id))?.returnvalue, 'of the other worker')
    assert.equal((await outcomes(other))['completed'], 1)
    assert.match(stopped.stdout(), /outcome="lock_lost"\} 1\n/)
    assert.match(stopped.stdout(), /outcome="completed"\} 0\n/)
    const records = await server.client().lrange(recordsKey(name), 0, -1)
    assert.deepEqual(records, kind === 'guarded' ? ['other a'] : ['stopped a', 'other a'])
  })
}
