/** The choice of the path, the fallback from the composed one, and its report. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { fingerprint, openBullQueue } from '../../../redis/bullmq/queue.ts'
import { close, connect } from '../../../redis/connect/connection.ts'
import { forwardTarget } from '../../../redis/placement.ts'
import { chooseForwarder, chooseSettlePath } from '../../../redis/settle/choose.ts'
import { openPipeline } from '../../consumer/fixture.ts'
import { alterScripts } from '../../paths/alteration.ts'
import { address, pipelineWith, type SpecChanges } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

const open = (
  t: TestContext,
  options: { on?: RedisServer; changes?: SpecChanges; alter?: (lua: string, name: string) => string } = {},
) => {
  const connection = connect(address((options.on ?? server).port), 'Writer')
  if (options.alter !== undefined) alterScripts(connection as Parameters<typeof alterScripts>[0], options.alter)
  t.after(() => close(connection))
  return { connection, pipeline: pipelineWith({ url: server.url, ...options.changes }) }
}

test('the installed BullMQ is known and proven: one script where all is together, two where the queue is elsewhere', async (t) => {
  const { connection, pipeline } = open(t)
  const near = await chooseSettlePath(pipeline, connection, connection)
  t.after(() => near.path.close())
  assert.deepEqual([near.path.kind, near.fallback, near.placement.together], ['Atomic', undefined, true])
  const elsewhere = open(t, { changes: { sink: { redis: { url: server.url } } } })
  const far = await chooseSettlePath(elsewhere.pipeline, connection, elsewhere.connection)
  t.after(() => far.path.close())
  assert.deepEqual([far.path.kind, far.fallback, far.placement.together], ['Split', undefined, false])
  assert.deepEqual(await server.client().keys('*selftest*'), [], 'the self-test leaves nothing')
})

test('scripts of unknown text: the portable way, and why', async (t) => {
  const { connection, pipeline } = open(t, { alter: (lua) => `${lua}\n-- one more line` })
  const { path, fallback, scripts } = await chooseSettlePath(pipeline, connection, connection)
  t.after(() => path.close())
  assert.deepEqual([path.kind, fallback, scripts], ['Portable', 'the scripts of the installed BullMQ are not known', undefined])
  const direct = await chooseForwarder(connection, forwardTarget(pipeline))
  t.after(() => direct.forwarder.close())
  assert.equal(direct.forwarder.kind, 'Portable', 'Direct dispatch chooses by the same rule')
})

const faults: [what: string, alter: (lua: string, name: string) => string, says: RegExp][] = [
  [
    'writes another field',
    (lua) => lua.replaceAll('"priority"', '"urgency"').replaceAll("'priority'", "'urgency'"),
    /differs from what queue\.add writes/,
  ],
  ['forgets the marker', (lua) => lua.replaceAll('rcall("ZADD", markerKey, 0, "0")', ''), /marker differs/],
  ['adds nothing', (lua, name) => (name.startsWith('add') ? 'return KEYS[1]' : lua), /differs/],
  ['does not compile', (lua, name) => (name.startsWith('add') ? 'this is no Lua' : lua), /the composed script failed/],
  ['removes nothing', (lua, name) => (name.startsWith('removeJob') ? 'return 1' : lua), /replaced but not removed/],
]
for (const [what, alter, says] of faults) {
  test(`a composed script that ${what} fails the self-test: the portable way, and why`, async (t) => {
    const { connection, pipeline } = open(t, { alter })
    const bull = await openBullQueue(connection, 'scratch', 'bull')
    const print = fingerprint(bull.scripts)
    await bull.close()
    assert.ok(print)
    const { path, fallback } = await chooseSettlePath(
      pipeline,
      connection,
      connection,
      'specialised',
      new Map([['altered', print]]),
    )
    t.after(() => path.close())
    assert.equal(path.kind, 'Portable')
    assert.match(fallback ?? '', says)
  })
}

test('a server that cannot be asked is no reason to fall back', async (t) => {
  const limited = await startRedis(t)
  await limited.client().call('ACL', 'SETUSER', 'default', '-eval', '-evalsha')
  const { connection, pipeline } = open(t, { on: limited })
  await assert.rejects(chooseSettlePath(pipeline, connection, connection), { code: 'RedisPermissionDenied' })
})

test('a consumer says it in its log and its metrics, and works', async (t) => {
  const changes = { source: { stream: '{altered}:jobs' }, sink: { queue: 'altered' } }
  const { add, start, waiting, pending } = openPipeline(t, server, changes)
  await add(50)
  const consumer = await start('pod-0', { env: { NODE_OPTIONS: '--import ./test/paths/altered.ts' } })
  await eventually(async () => (await waiting()) === 50 && (await pending()).length === 0)
  const line = await consumer.logged('fell back to the portable forward path')
  assert.deepEqual(
    [line.level, line['path'], line['fallback']],
    ['warn', 'Portable', 'the scripts of the installed BullMQ are not known'],
  )
  assert.equal(await consumer.metric('stream_consumer_forward_path{path="Portable"'), 1)
  assert.equal(await consumer.metric('stream_consumer_forward_path{path="Atomic"'), 0)
  await consumer.stop()
})
