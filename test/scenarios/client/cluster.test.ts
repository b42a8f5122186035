import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Cluster } from 'ioredis'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { createWorker } from '../../../client/worker.ts'
import { type NdviRequest, ndviPipeline, ndviRequest } from '../../client/ndvi.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const server = await startRedis({ after }, { args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] })

test('in a Redis Cluster both modes and the worker keep to the stream’s slot', async (t) => {
  const { port } = server
  const node = server.client()
  await node.cluster('ADDSLOTSRANGE', 0, 16_383)
  await eventually(async () => (await node.cluster('INFO')).includes('cluster_state:ok'), { timeoutMs: 10_000 })
  const pipeline = ndviPipeline(server.url, (spec) => {
    spec.redis = { cluster: { nodes: [`127.0.0.1:${port}`] } }
  })
  const connection = new Cluster([{ host: '127.0.0.1', port }], { slotsRefreshTimeout: 10_000 })
  t.after(() => connection.disconnect())
  const results = []
  for (const options of [{}, { mode: 'Direct' }, { mode: 'Direct', redis: connection }] as const) {
    const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {}, ...options })
    t.after(() => dispatcher.close())
    results.push(await dispatcher.dispatch(ndviRequest(1)))
  }
  assert.deepEqual(
    results.map((result) => (result.mode === 'Stream' ? 'entry' : result.outcome)),
    ['entry', 'forwarded', 'duplicate'],
  )
  const executed: NdviRequest[] = []
  const worker = createWorker<NdviRequest>({
    queue: 'ndvi',
    prefix: 'bull{ndvi:jobs}',
    redis: connection,
    execute: (request) => void executed.push(request),
  })
  t.after(() => worker.close())
  await worker.start()
  await eventually(() => executed.length > 0, { timeoutMs: 15_000 })
  assert.deepEqual(executed, [ndviRequest(1)])
})
