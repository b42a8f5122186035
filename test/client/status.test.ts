/** Where is my request? As an application asks, and as a person asks the command line. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { StreamPipelineError } from '../../api/errors.ts'
import { createDispatcher } from '../../client/dispatcher.ts'
import { createWorker } from '../../client/worker.ts'
import { runHere } from '../support/commandline.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { type NdviRequest, ndviPipeline, ndviRequest, startConsumer } from './ndvi.ts'

const server = await startRedis({ after })
const pipeline = ndviPipeline(server.url, (spec) => {
  spec.sink.bullmq.allow = { idempotencyKey: true }
})

test('a request is found by its result, ids and keys, from the stream to the result of its job', async (t) => {
  const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {} })
  t.after(() => dispatcher.close())
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-status-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, JSON.stringify(pipeline))
  const cli = async (...args: string[]) => await runHere(['status', '-f', file, ...args])

  const request = ndviRequest(7)
  const result = await dispatcher.dispatch(request)
  const other = await dispatcher.dispatch(ndviRequest(8), { idempotencyKey: 'mine' })
  assert.ok(result.mode === 'Stream')
  assert.match(result.jobId, /^e-[\w-]{10}-[\w-]{43}$/)
  assert.equal((await dispatcher.status(result)).state, 'Unread')
  assert.equal((await dispatcher.status(request.request_hash)).state, 'Unknown')
  assert.equal((await dispatcher.status(request.request_hash, { scan: 100 })).state, 'Unread')
  assert.match((await cli(result.id)).stdout, /^state +Unread: in the stream/)
  assert.match((await cli(result.key)).stdout, /^state +Unknown: Redis has no trace/)

  const consumer = await startConsumer(t, pipeline)
  await eventually(async () => assert.equal((await dispatcher.status(result)).state, 'Waiting'))
  const worker = createWorker({ queue: 'ndvi', redis: server.url, execute: async ({ job_id }: NdviRequest) => ({ job_id }) })
  t.after(() => worker.close())
  await worker.start()
  await eventually(async () => assert.equal((await dispatcher.status('mine')).state, 'Completed'))
  await eventually(async () => assert.equal((await dispatcher.status(result)).state, 'Completed'))
  for (const name of [result.jobId, result.key, result.id, request.request_hash, [request.request_hash]] as const) {
    const status = await dispatcher.status(name)
    assert.deepEqual([status.state, status.job?.result], ['Completed', { job_id: 7 }], String(name))
  }
  assert.equal((await dispatcher.status(other)).jobId, other.jobId)
  const printed = (await cli(request.request_hash)).stdout
  assert.match(printed, /^state +Completed/)
  assert.match(printed, /result +\{"job_id":7\}/)
  assert.match(
    printed,
    /Z {2}dispatched as entry [\s\S]*Z {2}forwarded to the queue[\s\S]*Z {2}attempt 1 of 3 begun[\s\S]*Z {2}completed\n$/,
  )
  assert.equal(JSON.parse((await cli('mine', '-o', 'json')).stdout).state, 'Completed')
  const wrong = await cli('one', 'two')
  assert.match(wrong.stderr, /no id of an entry or job, no hash and no key; the fields of the key are request_hash/)
  await assert.rejects(
    dispatcher.status(['one', 'two']),
    (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'InvalidOption',
  )
  await consumer.stop('SIGTERM')
})
