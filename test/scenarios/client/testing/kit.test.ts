/** Where the test kit must not hang, and must fail as the product does. */
import '../../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { createTestPipeline, testContext, testJob } from '../../../../client/testing/index.ts'
import { type NdviRequest, ndviPipeline, ndviRequest } from '../../../client/ndvi.ts'

const pipelineOf = () => createTestPipeline<NdviRequest>(ndviPipeline('redis://127.0.0.1:1'))

test('after the loss of the lock upstream throws, and calls nothing', async () => {
  const call = mock.fn(() => 'called')
  const lost = new AbortController()
  const context = testContext({ job: testJob({ data: {} }), signal: lost.signal })
  assert.equal(await context.upstream('api', call), 'called')
  lost.abort()
  await assert.rejects(context.upstream('api', call), { code: 'ExecutionLockLost' })
  assert.equal(call.mock.callCount(), 1)
})

test('a key that throws fails the attempt, and drain goes on', async () => {
  const pipeline = pipelineOf()
  pipeline.worker(() => 'done', {
    key: () => {
      throw new Error('no key')
    },
  })
  await pipeline.dispatcher.dispatch(ndviRequest(1))
  await pipeline.drain()
  assert.notEqual(pipeline.jobs[0]?.state, 'Active')
})

test('a wait ends with its timer, though the clock stands still', async () => {
  const pipeline = pipelineOf()
  const result = await pipeline.dispatcher.dispatch(ndviRequest(1))
  const realNow = Date.now()
  const now = mock.method(Date, 'now', () => realNow)
  try {
    assert.equal((await pipeline.dispatcher.waitFor(result, { timeoutMs: 20 })).outcome, 'timeout')
  } finally {
    now.mock.restore()
  }
})

test('times without an end are refused', async () => {
  const pipeline = pipelineOf()
  await assert.rejects(pipeline.advance(Number.POSITIVE_INFINITY), { code: 'InvalidOption' })
  const result = await pipeline.dispatcher.dispatch(ndviRequest(1))
  await assert.rejects(pipeline.dispatcher.waitFor(result, { timeoutMs: Number.NaN }), { code: 'InvalidOption' })
})
