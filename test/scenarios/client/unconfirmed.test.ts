/** Direct dispatch where no replica can confirm: the job is made, and the application gets the reason. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { type NdviRequest, ndviPipeline, ndviRequest } from '../../client/ndvi.ts'
import { startProxy } from '../../support/proxy.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

test('onError gets ReplicationUnconfirmed, once, and the jobs are made', async (t) => {
  const primary = await startRedis(t)
  const admin = primary.client()
  await admin.config('SET', 'repl-diskless-sync-delay', '0')
  await startRedis(t, { args: ['--replicaof', primary.host, String(primary.port)] })
  await eventually(async () => /state=online/.test(await admin.info('replication')))
  const proxy = await startProxy(t, primary, { refuse: ['WAIT'] })
  const reported: StreamPipelineError[] = []
  const dispatcher = createDispatcher<NdviRequest>({
    pipeline: ndviPipeline(proxy.url),
    mode: 'Direct',
    env: {},
    onError: (error) => reported.push(error),
  })
  t.after(() => dispatcher.close())
  for (const id of [1, 2, 3]) assert.equal((await dispatcher.dispatch(ndviRequest(id))).mode, 'Direct')
  assert.deepEqual(
    reported.map(({ code, parameters }) => [code, parameters['detail']]),
    [['ReplicationUnconfirmed', 'it does not take WAIT']],
  )
  assert.equal(await admin.llen('bull:ndvi:wait'), 3)
})
