import { jsonOf } from '../../redis/bullmq/item.ts'
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, type TestContext, test } from 'node:test'
import { StreamPipelineError } from '../../api/errors.ts'
import { addDirectly } from '../../client/direct.ts'
import { forwardTarget } from '../../redis/placement.ts'
import { createPortableForwarder } from '../../redis/settle/forwarders/portable.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { compiled, ndviPipeline, ndviRequest } from './ndvi.ts'

const server = await startRedis({ after })
const target = forwardTarget(compiled(ndviPipeline(server.url)))

function openForwarder(t: TestContext) {
  const forwarder = createPortableForwarder(server.client(), target)
  t.after(() => forwarder.close())
  return forwarder
}

const itemOf = (id: number) => ({ hash: `hash-${id}`, json: jsonOf(ndviRequest(id)), trace: {} })

test('a key that another forwarder holds is asked for again until it is free', async (t) => {
  const redis = server.client()
  await redis.set(target.keys.lock('hash-1'), 'somebody else', 'PX', 60_000)
  const forwarder = openForwarder(t)
  let asked = 0
  const counting: typeof forwarder = {
    ...forwarder,
    forward: (items) => {
      asked++
      return forwarder.forward(items)
    },
  }
  const adding = addDirectly(counting, [itemOf(1), itemOf(2), itemOf(1)], AbortSignal.timeout(30_000))
  await eventually(() => asked > 2)
  await redis.del(target.keys.lock('hash-1'))
  assert.deepEqual(
    (await adding).map(({ outcome }) => outcome),
    ['forwarded', 'forwarded', 'duplicate'],
  )
})

test('a key that stays taken ends as DispatchContended when time is up, and is not added', async (t) => {
  const redis = server.client()
  await redis.set(target.keys.lock('hash-3'), 'somebody else', 'PX', 20_000)
  await assert.rejects(
    addDirectly(openForwarder(t), [itemOf(3)], AbortSignal.timeout(150)),
    (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'DispatchContended' && thrown.retryable,
  )
  assert.equal(await redis.exists(target.keys.mark('hash-3')), 0)
})

test('many more items than one step takes keep their order', async (t) => {
  const items = Array.from({ length: 250 }, (_, index) => itemOf(1_000 + index))
  const outcomes = await addDirectly(openForwarder(t), items, AbortSignal.timeout(30_000))
  assert.deepEqual(
    outcomes.map(({ jobId }) => jobId),
    items.map(({ hash }) => `e-${target.keys.scope}-${hash}`),
  )
})
