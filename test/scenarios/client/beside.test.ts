/** Workers of BullMQ's own kinds beside the pipeline: a processor in a sandbox, and flows. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { FlowProducer, Worker } from 'bullmq'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { createWorker } from '../../../client/worker.ts'
import { type NdviRequest, ndviPipeline, ndviRequest } from '../../client/ndvi.ts'
import { startRedis } from '../../support/redis.ts'

const server = await startRedis({ after })
beforeEach(async () => {
  await server.client().flushall()
})
const pipeline = ndviPipeline(server.url, (spec) => {
  spec.mode = 'Direct'
  spec.sink.bullmq.allow = { names: ['*'], idempotencyKey: true }
})

for (const useWorkerThreads of [false, true]) {
  test(`a sandboxed processor in a ${useWorkerThreads ? 'thread' : 'process'} runs a request, and its result is waited for`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-sandbox-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'processor.mjs')
    await writeFile(file, 'export default async (job) => { await job.updateProgress(50); return { farm: job.data.farm_id } }\n')
    const connection = server.client({ maxRetriesPerRequest: null })
    // The test runner's own arguments are none that a child process takes.
    const worker = new Worker('ndvi', file, {
      connection,
      useWorkerThreads,
      workerForkOptions: { execArgv: [] },
      workerThreadsOptions: { execArgv: [] },
    })
    t.after(() => worker.close())
    await worker.waitUntilReady()
    const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {}, timeoutMs: 30_000 })
    t.after(() => dispatcher.close())
    const request = await dispatcher.dispatch(ndviRequest(3))
    assert.deepEqual(await dispatcher.waitFor(request), { outcome: 'completed', result: { farm: ndviRequest(3).farm_id } })
    assert.equal((await dispatcher.status(request)).job?.progress, 50)
  })
}

test('a flow in the queue of a pipeline: handlers by name run parent and children, beside requests', async (t) => {
  const worker = createWorker<{ readonly farm_id: number }, number>({
    queue: 'ndvi',
    redis: server.url,
    concurrency: 4,
    execute: {
      tile: ({ farm_id }) => farm_id * 10,
      mosaic: async (_, { job }) => Object.values(await job.getChildrenValues<number>()).reduce((sum, value) => sum + value, 0),
      '*': ({ farm_id }) => farm_id,
    },
  })
  t.after(() => worker.close())
  await worker.start()
  const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {}, timeoutMs: 30_000 })
  t.after(() => dispatcher.close())
  const flows = new FlowProducer({ connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => flows.close())
  const ended = Promise.withResolvers<number>()
  worker.on('completed', (job, result) => {
    if (job.name === 'mosaic' && typeof result === 'number') ended.resolve(result)
  })
  const [request] = await Promise.all([
    dispatcher.dispatch(ndviRequest(3)),
    flows.add({
      ...{ name: 'mosaic', queueName: 'ndvi', data: { farm_id: 0 }, opts: { jobId: 'mosaic-of-may' } },
      children: [1, 2, 3].map((farm_id) => ({ name: 'tile', queueName: 'ndvi', data: { farm_id } })),
    }),
  ])
  assert.equal(await ended.promise, 60)
  assert.deepEqual(await dispatcher.waitFor(request), { outcome: 'completed', result: ndviRequest(3).farm_id })
})
