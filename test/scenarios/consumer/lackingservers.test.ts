/**
 * Servers that lack commands, one at a time and in the sets that managed services and proxies lack together. Each way of working
 * either works, or refuses to start with the name of the command. No job is added whose entry is never acknowledged.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { createWorker } from '../../../client/worker.ts'
import { createConsumer } from '../../../consumer/consumer.ts'
import { systemClock } from '../../../process/clock.ts'
import { connect } from '../../../redis/connect/connection.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { chooseSettlePath } from '../../../redis/settle/choose.ts'
import { address, pipelineWith } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { startProxy } from '../../support/proxy.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { otherServers } from '../../topology/support/servers.ts'

const ways = ['Atomic', 'Split', 'Portable', 'Stream', 'Direct', 'Worker'] as const
type Way = (typeof ways)[number]
const consumers: readonly Way[] = ['Atomic', 'Split', 'Portable']

interface Lacking {
  readonly refuse: readonly string[]
  /** The ways that refuse to start; the others work. */
  readonly refusing?: readonly Way[]
  /** Part of the message of paths that refuse to start. */
  readonly named?: RegExp
}

const managed = 'ACL BGREWRITEAOF BGSAVE CLUSTER CONFIG DEBUG FAILOVER LASTSAVE MIGRATE MODULE MONITOR PSYNC REPLICAOF ROLE SAVE'
const table: readonly Lacking[] = [
  ...['ROLE', 'CONFIG', 'ACL', 'CLIENT', 'WAIT', 'SELECT', 'MEMORY', 'FUNCTION', 'HELLO', 'XINFO'].map((lack) => ({
    refuse: [lack],
  })),
  ...['SETNAME', 'ID', 'UNBLOCK', 'NO-EVICT', 'INFO', 'SETINFO', 'LIST'].map((sub) => ({ refuse: [`CLIENT|${sub}`] })),
  ...['STREAM', 'GROUPS', 'CONSUMERS'].map((sub) => ({ refuse: [`XINFO|${sub}`] })),
  { refuse: ['SCRIPT|EXISTS'] },
  { refuse: ['INFO|replication'] },
  { refuse: ['ROLE', 'INFO|replication'] },
  { refuse: ['ROLE', 'INFO|replication', 'WAIT'] },
  { refuse: [...managed.split(' '), 'SHUTDOWN', 'SLAVEOF', 'SYNC'] },
  { refuse: ['TIME'], refusing: ['Atomic', 'Split', 'Direct'], named: /TIME/ },
  { refuse: ['SCRIPT|LOAD'], refusing: ['Portable'], named: /SCRIPT.*load/i },
  { refuse: ['SCRIPT'], refusing: ['Portable'], named: /SCRIPT/ },
  { refuse: ['MULTI'], refusing: ['Portable'], named: /MULTI/ },
  { refuse: ['INFO|server'], refusing: consumers, named: /INFO.*server/i },
  { refuse: ['INFO|memory'], refusing: consumers, named: /INFO.*memory/i },
  { refuse: ['INFO|'], refusing: ways, named: /INFO/ },
  { refuse: ['INFO'], refusing: ways, named: /INFO/ },
  { refuse: ['WAIT', 'ROLE', 'INFO', 'SELECT', 'MULTI', 'SCRIPT', 'CLIENT', 'CONFIG'], refusing: ways, named: /INFO/ },
]

for (const binary of [undefined, ...otherServers]) {
  describe(`on ${binary?.split('/').at(-1) ?? 'the default server'}`, { concurrency: 4 }, () => {
    const scope = fileScope()
    let server: RedisServer
    before(async () => {
      server = await startRedis(scope, binary === undefined ? {} : { binary })
    })
    for (const [row, lacking] of table.entries()) {
      // The others take a share: they answer to the same commands.
      if (binary !== undefined && row % 6 !== 0 && lacking.refuse.length < 10) continue
      test(`without ${lacking.refuse.join(', ')}`, async (t) => await tryAll(t, server, `r${row}`, lacking))
    }
  })
}

async function tryAll(
  t: TestContext,
  server: RedisServer,
  name: string,
  { refuse, refusing = [], named = /./ }: Lacking,
): Promise<void> {
  const proxy = await startProxy(t, server, { refuse })
  const found = await Promise.all(
    ways.map(async (way) => {
      try {
        await tried(t, way, `${way}-${name}`, server, proxy.port)
        return undefined
      } catch (thrown) {
        assert.ok(thrown instanceof StreamPipelineError, `${way}: ${String(thrown)}`)
        assert.notEqual(thrown.code, 'Internal', `${way}: ${thrown.message}`)
        assert.match(thrown.advice, named, way)
        assert.equal(await server.client().exists(`bull:${way}-${name}:wait`), 0, `${way}: refused, with a job that it added`)
        return way
      }
    }),
  )
  assert.deepEqual(
    found.filter((way) => way !== undefined),
    refusing,
  )
}

/** Does a little work that way. Throws why it does not start. */
async function tried(t: TestContext, way: Way, name: string, server: RedisServer, port: number): Promise<void> {
  const url = `redis://127.0.0.1:${port}`
  const redis = server.client()
  const pipeline = pipelineWith({
    url,
    source: { stream: name, block: '100ms' },
    sink: { queue: name, ...(way === 'Split' ? { redis: { url } } : {}) },
  })
  switch (way) {
    case 'Atomic':
    case 'Split':
    case 'Portable':
      return await consumed(t, way, server, port, pipeline)
    case 'Stream':
    case 'Direct': {
      const dispatcher = createDispatcher({ pipeline, mode: way, env: {}, onError: () => undefined })
      t.after(() => dispatcher.close())
      const results = await dispatcher.dispatchMany([{ k: 1 }, { k: 2 }])
      assert.equal(results.length, 2)
      assert.equal(way === 'Stream' ? await redis.xlen(name) : await redis.llen(`bull:${name}:wait`), 2)
      return
    }
    case 'Worker': {
      const done: object[] = []
      const execute = (payload: object) => void done.push(payload)
      const worker = createWorker({ queue: name, redis: url, execute, onError: () => undefined })
      t.after(() => worker.close())
      await worker.start()
      // From another Redis client, past the proxy.
      const dispatcher = createDispatcher({
        pipeline: pipelineWith({ url: server.url, source: { stream: name }, sink: { queue: name } }),
        mode: 'Direct',
        env: {},
      })
      t.after(() => dispatcher.close())
      await dispatcher.dispatch({ k: 1 })
      await eventually(() => done.length === 1)
      return
    }
    default:
      way satisfies never
  }
}

type Pipeline = ReturnType<typeof pipelineWith>

async function consumed(t: TestContext, way: Way, server: RedisServer, port: number, pipeline: Pipeline): Promise<void> {
  const at = address(port)
  const writer = connect(at, 'Writer')
  const queue = way === 'Split' ? connect(at, 'Writer') : writer
  const crashes: unknown[] = []
  const consumer = createConsumer({
    pipeline,
    place: streamPlace(pipeline),
    name: 'c1',
    uid: 'c1',
    connections: { blocking: connect(at, 'Blocking'), writer, queue },
    choosePath: () => chooseSettlePath(pipeline, writer, queue, way === 'Portable' ? 'portable' : 'specialised'),
    observers: [{ pathChosen: (kind) => assert.equal(kind, way) }],
    crash: (thrown) => crashes.push(thrown),
    clock: systemClock,
  })
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= consumer.stop(performance.now() + 5_000)
    return stopped
  }
  t.after(stop)
  await consumer.start()
  const redis = server.client()
  const name = pipeline.source.stream
  for (const k of ['a', 'b']) await redis.xadd(name, '*', 'k', k)
  await eventually(async () => assert.equal(await redis.llen(`bull:${name}:wait`), 2))
  await eventually(async () => assert.equal(((await redis.xpending(name, 'ndvi')) as unknown[])[0], 0))
  assert.equal(consumer.lifecycle.state.kind, 'Running')
  const begun = performance.now()
  await stop()
  assert.ok(performance.now() - begun < 5_000, 'it stops in time')
  assert.deepEqual(crashes, [])
  assert.deepEqual(await redis.xinfo('CONSUMERS', name, 'ndvi'), [], 'its name is taken out')
}
