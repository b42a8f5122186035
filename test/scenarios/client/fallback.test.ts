/** Direct dispatch that cannot use the composed script reports that once, and works. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { type NdviRequest, ndviPipeline, ndviRequest } from '../../client/ndvi.ts'
import { alterScripts } from '../../paths/alteration.ts'
import { fileScope } from '../../redis/scope.ts'
import { run } from '../../support/process.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

test('scripts of unknown text: the portable way is reported with its reason, once, and jobs are made', async (t) => {
  const redis = server.client({ maxRetriesPerRequest: 1 })
  alterScripts(redis, (lua) => `-- of another version\n${lua}`)
  const reported: StreamPipelineError[] = []
  const dispatcher = createDispatcher<NdviRequest>({
    pipeline: ndviPipeline(server.url),
    redis,
    mode: 'Direct',
    env: {},
    onError: (error) => reported.push(error),
  })
  t.after(() => dispatcher.close())
  for (const id of [1, 2, 3]) assert.equal((await dispatcher.dispatch(ndviRequest(id))).mode, 'Direct')
  assert.deepEqual(
    reported.map(({ code, parameters }) => [code, parameters]),
    [['PortableForwarding', { queue: 'ndvi', detail: 'the scripts of the installed BullMQ are not known' }]],
  )
  assert.equal(await server.client().llen('bull:ndvi:wait'), 3)
})

test('without a listener it is a warning of the process; the composed way says nothing', async (t) => {
  const program = `
import { createDispatcher } from './client/index.ts'
const dispatcher = createDispatcher({ pipeline: ${JSON.stringify(ndviPipeline(server.url))}, mode: 'Direct', env: {} })
await dispatcher.dispatch(${JSON.stringify(ndviRequest(4))})
await dispatcher.close()`
  const options = { input: program }
  const plain = await run(t, ['--input-type=module-typescript'], options)
  assert.deepEqual([plain.code, plain.stderr], [0, ''])
  const altered = await run(t, ['--import', './test/paths/altered.ts', '--input-type=module-typescript'], options)
  assert.equal(altered.code, 0, altered.stderr)
  assert.match(
    altered.stderr,
    /\[PortableForwarding\] StreamPipelineWarning: jobs go into queue ndvi by the portable path: the scripts/,
  )
})
