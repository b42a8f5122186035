/** What a worker's application hears of its jobs, and a job that a test makes by hand. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import { Job, Queue } from 'bullmq'
import { StreamPipelineError } from '../../api/errors.ts'
import type { ExecutionContext } from '../../client/execution.ts'
import type { WorkerJob } from '../../client/job.ts'
import { createWorker } from '../../client/worker.ts'
import type { WorkerOptions } from '../../client/workeroptions.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'

interface Work {
  readonly n: number
}

const server = await startRedis({ after })

function open(t: TestContext, name: string, options: Omit<WorkerOptions<Work, number>, 'queue' | 'redis'>) {
  const queue = new Queue<Work>(name, { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  const worker = createWorker<Work, number>({ queue: name, redis: server.url, ...options })
  t.after(() => worker.close())
  return { queue, worker }
}

test('completed and failed are heard with job and outcome; a listener that is ended hears no more', async (t) => {
  const { queue, worker } = open(t, 'heard', {
    isTerminal: ({ n }) => n === 9,
    execute: ({ n }) => {
      if (n === 2) throw new Error('no imagery')
      return n * 10
    },
  })
  const heard: unknown[] = []
  const ended: unknown[] = []
  // Before the start, and typed: `result` is a number, or says that the job was skipped.
  worker.on('completed', (job, result) => heard.push([job.data.n, typeof result === 'number' ? result + 1 : result.skipped]))
  worker.on('failed', (job, error) => heard.push([job?.data.n, error.message, job?.attemptsMade]))
  const end = worker.on('completed', (job) => ended.push(job.data.n))
  await worker.start()
  await queue.add('work', { n: 1 })
  await eventually(() => ended.length === 1)
  end()
  await queue.add('work', { n: 2 })
  await queue.add('work', { n: 9 })
  await eventually(() => heard.length === 3)
  assert.deepEqual(heard, [
    [1, 11],
    [2, 'no imagery', 1],
    [9, 'Terminal'],
  ])
  assert.deepEqual(ended, [1])
})

test('stalled names the job of a worker that is gone', async (t) => {
  const { queue, worker } = open(t, 'stalls', { execute: ({ n }) => n, bullmq: { stalledInterval: 100 } })
  const { id = '' } = await queue.add('work', { n: 1 })
  // Active without a lock, as a killed worker leaves it.
  await server.client().rpoplpush('bull:stalls:wait', 'bull:stalls:active')
  const heard: string[] = []
  worker.on('stalled', (jobId) => heard.push(jobId))
  await worker.start()
  await eventually(async () => (await queue.getJobState(id)) === 'completed', { timeoutMs: 20_000 })
  assert.deepEqual(heard, [id])
})

test('a listener that throws or rejects is reported by the event’s name, and disturbs neither the job nor other listeners', async (t) => {
  const errors: StreamPipelineError[] = []
  const { queue, worker } = open(t, 'disturbed', { execute: ({ n }) => n, onError: (error) => errors.push(error) })
  const heard: number[] = []
  worker.on('completed', () => {
    throw new Error('thrown')
  })
  worker.on('completed', async () => await Promise.reject(new Error('rejected')))
  worker.on('completed', (job) => heard.push(job.data.n))
  await worker.start()
  await queue.add('work', { n: 1 })
  await queue.add('work', { n: 2 })
  await eventually(() => heard.length === 2 && errors.length === 4)
  assert.deepEqual(errors.map(({ code, parameters }) => [code, parameters['event'], parameters['detail']]).slice(0, 2), [
    ['ListenerFailed', 'completed', 'thrown'],
    ['ListenerFailed', 'completed', 'rejected'],
  ])
})

test('an event of another name is refused, and the names are listed', (t) => {
  const { worker } = open(t, 'unknown-event', { execute: () => 1 })
  assert.throws(
    () => worker.on('progress' as 'completed', () => undefined),
    (thrown) =>
      thrown instanceof StreamPipelineError &&
      thrown.code === 'InvalidOption' &&
      /completed, failed, stalled/.test(thrown.message),
  )
})

test('BullMQ’s job fits the handler’s type, one that a test makes does too, and a handler gets BullMQ’s own', async (t) => {
  const made: WorkerJob<Work> = {
    ...{ id: '1', name: 'work', data: { n: 7 }, opts: {}, timestamp: 0, attemptsMade: 0, attemptsStarted: 1, progress: 0 },
    ...{ queueName: 'q', queueQualifiedName: 'bull:q' },
    updateProgress: async () => undefined,
    log: async () => 1,
    moveToDelayed: async () => undefined,
    moveToWait: async () => 1,
    moveToWaitingChildren: async () => false,
    getChildrenValues: async () => ({}),
  }
  const execute = async ({ n }: Work, { job }: Pick<ExecutionContext<Work>, 'job'>) => {
    await job.updateProgress({ n })
    return job instanceof Job ? n : -n
  }
  assert.equal(await execute(made.data, { job: made }), -7)
  const { queue, worker } = open(t, 'typed', { execute })
  await worker.start()
  const job: WorkerJob<Work> = await queue.add('work', { n: 7 })
  await eventually(async () => (await queue.getJob(job.id ?? ''))?.returnvalue === 7)
})
