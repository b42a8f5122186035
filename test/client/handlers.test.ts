/** Handlers by the name of the job. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Queue } from 'bullmq'
import { StreamPipelineError } from '../../api/errors.ts'
import { createWorker } from '../../client/worker.ts'
import type { WorkerOptions } from '../../client/workeroptions.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'

const server = await startRedis({ after })

test('each job goes to the handler of its name; a name without one fails the attempt, and says which there are', async (t) => {
  const queue = new Queue('named', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  const seen: string[] = []
  const worker = createWorker<{ n: number }, string>({
    queue: 'named',
    redis: server.url,
    execute: {
      report: ({ n }, { job }) => {
        seen.push(`report ${n} ${job.name}`)
        return 'reported'
      },
      mail: async ({ n }) => {
        seen.push(`mail ${n}`)
        return 'mailed'
      },
    },
  })
  t.after(() => worker.close())
  await worker.start()
  const jobs = await queue.addBulk(
    ['report', 'mail', 'constructor'].map((name, n) => ({ name, data: { n }, opts: { jobId: `job-${name}` } })),
  )
  const state = async (index: number) => await queue.getJob(jobs[index]?.id ?? '')
  await eventually(async () => assert.equal((await state(0))?.returnvalue, 'reported'))
  await eventually(async () => assert.equal((await state(1))?.returnvalue, 'mailed'))
  await eventually(async () =>
    assert.match((await state(2))?.failedReason ?? '', /no handler for jobs named constructor; it has report, mail/),
  )
  assert.deepEqual(seen.toSorted(), ['mail 1', 'report 0 report'])
})

test('an asterisk takes every other name', async (t) => {
  const queue = new Queue('any', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  const seen: string[] = []
  const worker = createWorker({
    queue: 'any',
    redis: server.url,
    execute: { known: () => void seen.push('known'), '*': (_, { job }) => void seen.push(`other: ${job.name}`) },
  })
  t.after(() => worker.close())
  await worker.start()
  await queue.add('known', {}, { jobId: 'job-1' })
  await queue.add('unknown', {}, { jobId: 'job-2' })
  await eventually(() => assert.deepEqual(seen.toSorted(), ['known', 'other: unknown']))
})

test('what is no handler is refused when the worker is made', () => {
  for (const execute of [{}, { report: 'text' }]) {
    const options = { queue: 'q', redis: server.url, execute } as unknown as WorkerOptions<object, unknown>
    assert.throws(
      () => createWorker(options),
      (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'InvalidOption' && /execute/.test(thrown.message),
    )
  }
})
