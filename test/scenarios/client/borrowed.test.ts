/** The option `redis` of an application: an unusable one is refused at once, or before anything is sent on it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, beforeEach, type TestContext, test } from 'node:test'
import type { Redis } from 'ioredis'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import type { RedisInput } from '../../../client/lent.ts'
import { createWorker } from '../../../client/worker.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { type ClientOptions, startRedis } from '../../support/redis.ts'

const server = await startRedis({ after })
const pipeline = pipelineWith({ url: server.url })
const place = streamPlace(pipeline)
beforeEach(async () => {
  await server.client().flushall()
})

function openDispatcher(t: TestContext, mode: 'Stream' | 'Direct', redis: RedisInput) {
  const dispatcher = createDispatcher({ pipeline, mode, redis, env: {}, onError: () => undefined })
  t.after(() => dispatcher.close())
  return dispatcher
}

function openWorker(t: TestContext, redis: RedisInput) {
  const worker = createWorker({ queue: 'ndvi', redis, execute: () => undefined, onError: () => undefined })
  t.after(() => worker.close())
  return worker
}

function refusedAs(pattern: RegExp) {
  return (thrown: unknown) => {
    assert.ok(thrown instanceof StreamPipelineError, `it is no error of the catalogue: ${String(thrown)}`)
    assert.equal(thrown.code, 'InvalidOption', thrown.advice)
    assert.equal(thrown.parameters['option'], 'redis')
    assert.match(thrown.advice, pattern)
    return true
  }
}

const leadingElsewhere: readonly (readonly [what: string, options: ClientOptions, named: RegExp])[] = [
  ['with a keyPrefix', { keyPrefix: 'app:' }, /keyPrefix/],
  ['on another database than the pipeline’s', { db: 3 }, /database/],
]
for (const [what, options, named] of leadingElsewhere) {
  for (const mode of ['Stream', 'Direct'] as const) {
    test(`${mode}: no payload is taken by a connection ${what} and left unread`, async (t) => {
      const plain = server.client()
      const dispatch = async () => await openDispatcher(t, mode, server.client(options)).dispatch({ k: 1 })
      const answer = await dispatch().catch((thrown: unknown) => {
        assert.ok(refusedAs(named)(thrown))
        return undefined
      })
      if (answer === undefined)
        assert.deepEqual(await plain.info('keyspace'), '# Keyspace\r\n', 'refused, and written all the same')
      else if (answer.mode === 'Stream')
        assert.equal(await plain.xlen(place.stream), 1, 'answered with an id that no consumer reads')
      else assert.equal(await plain.exists(`bull:ndvi:${answer.jobId}`), 1, 'answered with a job that no worker takes')
    })
  }
}

test('a worker refuses a connection with a keyPrefix by an error of the catalogue, and leaves none open', async (t) => {
  const own = server.client({ keyPrefix: 'app:' })
  const made: Redis[] = []
  const duplicate = own.duplicate.bind(own)
  own.duplicate = (override) => {
    const copy = duplicate(override)
    made.push(copy.on('error', () => undefined))
    return copy
  }
  t.after(() => {
    for (const copy of made) copy.disconnect()
  })
  await assert.rejects(async () => await openWorker(t, own).start(), refusedAs(/keyPrefix/))
  assert.deepEqual(
    made.map(({ status }) => status).filter((status) => status !== 'end' && status !== 'wait'),
    [],
  )
})

/** As other libraries and BullMQ's own `connection` have it. */
const wrongKinds: readonly (readonly [what: string, given: unknown])[] = [
  ['options of a connection', { host: '127.0.0.1', port: server.port }],
  ['a client of another library', { isOpen: true, connect: async () => undefined, sendCommand: async () => 'OK' }],
  ['a URL without a scheme', `127.0.0.1:${server.port}`],
  ['a URL of another scheme', `http://127.0.0.1:${server.port}`],
  ['an empty text', ''],
  ['a number', server.port],
  ['null', null],
]
for (const [what, given] of wrongKinds) {
  const input = given as RedisInput
  test(`a dispatcher refuses ${what} at once and says what to pass`, (t) => {
    assert.throws(() => openDispatcher(t, 'Stream', input), refusedAs(/redis:\/\/|ioredis/))
  })
  test(`a worker refuses ${what} at once and says what to pass`, (t) => {
    assert.throws(() => openWorker(t, input), refusedAs(/redis:\/\/|ioredis/))
  })
}
