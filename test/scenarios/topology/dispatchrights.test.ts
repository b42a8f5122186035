/** A user that only dispatches: enough for the library's dispatcher, each right of it used, and the limits of a producer. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { keySpace } from '../../../redis/keys.ts'
import { dispatchRules } from '../../../redis/preflight/permissions.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'

const keys = keySpace('ndvi:jobs', 'ndvi')
const [user, password] = ['ndvi-producer', 'least']
const scope = fileScope()
let redis: RedisServer
before(async () => {
  redis = await startRedis(scope)
})

async function grant(rules: readonly string[]) {
  await redis.client().flushall()
  await redis
    .client()
    .call('ACL', 'SETUSER', user, 'reset', 'on', `>${password}`, 'resetkeys', 'resetchannels', '-@all', ...rules)
  await redis.client().call('ACL', 'LOG', 'RESET')
}

async function refused(): Promise<string[]> {
  const log = (await redis.client().call('ACL', 'LOG')) as string[][]
  return log.map((entry) => String(entry[entry.indexOf('object') + 1]))
}

const allow = { maxDelay: '1h' }

function dispatcherTo(t: TestContext, database = 0, sink: object = {}) {
  const url = `redis://${user}:${password}@127.0.0.1:${redis.port}/${database}`
  const dispatcher = createDispatcher<{ n: number }>({
    pipeline: pipelineWith({ url: `redis://127.0.0.1:${redis.port}/${database}`, sink }),
    redis: url,
    env: {},
  })
  t.after(() => dispatcher.close())
  return dispatcher
}

const rules = dispatchRules(pipelineWith())

test('the library dispatches with it, by the mode in Redis, and is refused nothing', async (t) => {
  await grant(rules)
  await redis.client().set(keys.mode, 'Stream')
  const { mode } = await dispatcherTo(t).dispatch({ n: 1 })
  assert.equal(mode, 'Stream')
  await dispatcherTo(t, 3).dispatchMany([{ n: 1 }, { n: 2 }])
  assert.equal(await redis.client().xlen('ndvi:jobs'), 1)
  assert.deepEqual(await refused(), [])
})

test('with options of requests it also reads what consumers say, and each further right is used', async (t) => {
  const more = dispatchRules(pipelineWith({ sink: { allow } })).filter((rule) => !rules.includes(rule))
  assert.equal(more.length, 3)
  const dispatch = async () => {
    await redis.client().hset(keys.consumers, 'one', 'pod/1')
    await redis.client().set(keys.consumer('one'), '{"uid":"pod/1","takesOptions":true}')
    await dispatcherTo(t, 0, { allow }).dispatch({ n: 1 }, { delay: 5 })
  }
  await grant([...rules, ...more])
  await dispatch()
  assert.deepEqual(await refused(), [])
  const client = redis.client({ username: user, password })
  t.after(() => client.disconnect())
  await assert.rejects(client.set(keys.consumer('one'), '{}'), /NOPERM|permission/)
  for (const right of more) {
    await grant([...rules, ...more].filter((rule) => rule !== right))
    await assert.rejects(dispatch(), { code: 'RedisPermissionDenied' }, right)
  }
})

/** Without a name a connection works. */
for (const right of rules.filter((rule) => rule.startsWith('+') && rule !== '+client|setname')) {
  test(`without ${right} something is refused`, async (t) => {
    await grant(rules.filter((rule) => rule !== right))
    // So that the script has to be sent whole.
    await redis.client().script('FLUSH')
    const dispatcher = dispatcherTo(t, 3)
    for (const n of [1, 2]) await dispatcher.dispatch({ n }).catch(() => undefined)
    assert.notDeepEqual(await refused(), [], right)
  })
}

test('it reads nothing, deletes nothing by id, and touches no other key', async (t) => {
  await grant(rules)
  await redis.client().xadd('ndvi:jobs', '1-1', 'a', 'b')
  await redis.client().set(keys.mode, 'Stream')
  await redis.client().lpush('bull:ndvi:wait', '1')
  const client = redis.client({ username: user, password })
  t.after(() => client.disconnect())
  const attempts: readonly (readonly [string, ...string[]])[] = [
    ['XRANGE', 'ndvi:jobs', '-', '+'],
    ['XREAD', 'STREAMS', 'ndvi:jobs', '0'],
    ['XDEL', 'ndvi:jobs', '1-1'],
    ['XTRIM', 'ndvi:jobs', 'MAXLEN', '0'],
    ['XGROUP', 'CREATE', 'ndvi:jobs', 'g', '0'],
    ['DEL', 'ndvi:jobs'],
    ['DEL', keys.mode],
    ['SET', keys.mode, 'Direct'],
    ['GET', keys.stats],
    ['LRANGE', 'bull:ndvi:wait', '0', '-1'],
    ['XADD', 'other', '*', 'a', 'b'],
    ['KEYS', '*'],
    ['CONFIG', 'GET', '*'],
    ['EVAL', "return redis.call('SET', KEYS[1], 'Direct')", '1', keys.mode],
    ['EVAL', "return redis.call('DEL', KEYS[1])", '1', 'ndvi:jobs'],
  ]
  for (const [command, ...args] of attempts)
    await assert.rejects(client.call(command, ...args), /NOPERM|permission|can't run this command/, [command, ...args].join(' '))
  // No rule forbids this, as docs/tenancy.md states.
  await client.call('XADD', 'ndvi:jobs', 'MAXLEN', '0', '*', 'a', 'b')
  assert.equal(await redis.client().xlen('ndvi:jobs'), 0)
  await client.call('XADD', 'ndvi:jobs', '18446744073709551615-18446744073709551615', 'a', 'b')
  await assert.rejects(dispatcherTo(t).dispatch({ n: 1 }))
})

test('the rule in docs/redis.md is this one', () => {
  const page = readFileSync(join(projectRoot, 'docs', 'redis.md'), 'utf8')
  const [, line = ''] = /ACL SETUSER ndvi-producer on ([\s\S]*?)\n```/.exec(page) ?? []
  const words = line.replaceAll(/\\\n/g, ' ').replaceAll("'", '').trim().split(/\s+/)
  assert.deepEqual(words.slice(4), rules)
})
