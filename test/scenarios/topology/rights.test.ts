/** The least rights: enough for a whole run on every path, each of them used, and reported by name when missing. */
import { jsonOf } from '../../../redis/bullmq/item.ts'
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import type { StreamPipelineError } from '../../../api/errors.ts'
import { readCommand } from '../../../operator/observe/idlepipelines.ts'
import { openBullQueue } from '../../../redis/bullmq/queue.ts'
import { close, connect, open } from '../../../redis/connect/connection.ts'
import { createSweeper } from '../../../redis/deadletters/capture.ts'
import { createDeadLetters } from '../../../redis/deadletters/replay.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { forwardTarget, placementOf, streamPlace } from '../../../redis/placement.ts'
import { checkBackends } from '../../../redis/preflight/backends.ts'
import { checkReplayRights } from '../../../redis/preflight/permissioncheck.ts'
import { aclPermissions, aclRules } from '../../../redis/preflight/permissions.ts'
import { chooseSettlePath } from '../../../redis/settle/choose.ts'
import type { Disposition } from '../../../redis/settle/path.ts'
import { requestStatus } from '../../../redis/status/request.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { claimEntries, handBackEntries, renewEntries } from '../../../redis/stream/pending.ts'
import { reapConsumer } from '../../../redis/stream/reaping.ts'
import { retireConsumer } from '../../../redis/stream/registry.ts'
import { retainEntries } from '../../../redis/stream/retention.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { observe } from '../../../sampling/observe.ts'
import { address, pipelineWith, type SpecChanges } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { numbers, openTopology, secret } from '../../topology/support/pipeline.ts'

const user = 'consumer'
const password = 'least'
const refs = { 'secret/redis/username': user, 'secret/redis/password': password }
const access = { usernameFrom: secret('redis', 'username'), passwordFrom: secret('redis', 'password') }

let near: RedisServer
let far: RedisServer
const scope = fileScope()
before(async () => {
  ;[near, far] = await Promise.all([startRedis(scope), startRedis(scope)])
})

async function grant(server: RedisServer, rules: readonly string[]) {
  await server.client().call('ACL', 'SETUSER', user, 'reset', 'on', `>${password}`, ...rules)
  await server.client().call('ACL', 'LOG', 'RESET')
}

/** Commands the user was refused. */
async function refusals(server: RedisServer): Promise<string[]> {
  const log = (await server.client().call('ACL', 'LOG')) as string[][]
  return log.map((entry) => `${entry[entry.indexOf('object') + 1]} (${entry[entry.indexOf('reason') + 1]})`)
}

/** A connection as the least-privileged user. */
async function restricted(t: TestContext, server: RedisServer, database = 0) {
  const connection = connect(address(server.port, { username: user, password, database }), 'Writer')
  t.after(() => close(connection))
  await open(connection)
  return connection
}

/** Whose scripts are not known by their text. */
const anotherBullMq = { NODE_OPTIONS: '--import ./test/paths/altered.ts' }

const paths: [path: string, spec: () => SpecChanges, env?: Readonly<Record<string, string>>][] = [
  ['Atomic', () => ({ redis: { url: near.url, ...access }, source: { stream: 'one' } })],
  [
    'Split',
    () => ({ redis: { url: near.url, ...access }, source: { stream: 'two' }, sink: { redis: { url: far.url, ...access } } }),
  ],
  [
    'Portable',
    () => ({ redis: { url: near.url, ...access }, source: { stream: 'three' }, sink: { queue: 'three' } }),
    anotherBullMq,
  ],
]
for (const [path, spec, env = {}] of paths) {
  test(`${path}: a consumer with no other rights does all its work`, async (t) => {
    const pipeline = pipelineWith(spec())
    const rules = aclRules(pipeline)
    await grant(near, rules.stream)
    await grant(far, rules.queue ?? [])
    const queueRedis = (rules.queue === undefined ? near : far).client()
    const topology = await openTopology(t, {
      spec: {
        ...spec(),
        payload: {
          schema: {
            type: 'object',
            properties: { job_id: { type: 'string' } },
            required: ['job_id'],
            additionalProperties: false,
          },
        },
      },
      refs,
      redis: near.client(),
      queueRedis,
      env,
    })
    await topology.add(20)
    await near.client().xadd(topology.place.stream, '*', 'other', 'dead')
    const consumer = await topology.start()
    assert.equal((await consumer.logged(/forward path/))['path'], path)
    await topology.add(20, 20)
    await topology.settled(numbers(40))
    assert.equal(await near.client().xlen(topology.place.deadLetters), 1)
    assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
    assert.deepEqual([...(await refusals(near)), ...(await refusals(far))], [])
  })
}

const options = [{ lifo: true }, { delay: '1h' }, { priority: 5 }]
const ways = (['specialised', 'composed', 'portable'] as const).flatMap((way) =>
  options.map((jobOptions) => ({ way, jobOptions })),
)
for (const [index, { way, jobOptions }] of ways.entries()) {
  test(`${way}, ${JSON.stringify(jobOptions)}: every outcome, reclaim, retention and capture`, async (t) => {
    const pipeline = pipelineWith({ source: { stream: `way${index}` }, sink: { queue: `way${index}`, jobOptions } })
    await grant(near, aclRules(pipeline).stream)
    const connection = await restricted(t, near, 1)
    const admin = near.client({ db: 1 })
    const place = streamPlace(pipeline)
    const target = forwardTarget(pipeline)
    await checkBackends(pipeline, connection, connection)
    await ensureGroup(connection, place.keys, pipeline.source)
    const { path, scripts, placement } = await chooseSettlePath(pipeline, connection, connection, way)
    t.after(() => path.close())
    for (const value of ['a', 'a', 'b', 'c']) await admin.xadd(place.stream, '*', 'v', value)
    const reply = (await admin.xreadgroup('GROUP', place.group, 'gone', 'STREAMS', place.stream, '>')) as [
      string,
      [string, string[]][],
    ][]
    const ids = reply[0]?.[1].map(([id]) => id) ?? []
    await claimEntries(connection, place, 'me', 0, ids)
    await renewEntries(connection, place, 'me', ids)
    const item = (hash: string, origin: string) => ({ hash, json: jsonOf({ v: hash }), trace: {}, origin, redrives: 0 })
    const [a = '', again = '', b = '', c = ''] = ids
    const verdicts: Disposition[] = [
      { kind: 'Forward', id: a, item: item('a', a), redrives: 0 },
      { kind: 'Forward', id: again, item: item('a', again), redrives: 0 },
      { kind: 'DeadLetter', id: b, reason: 'InvalidPayload', error: 'test', redrives: 0 },
    ]
    const { outcomes } = await path.settle(verdicts)
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['forwarded', 'duplicate', 'dead'],
    )
    assert.equal(await handBackEntries(connection, place, 'me', 1_000), 1)
    await retireConsumer(connection, place, 'nobody')
    const queueKey = `${target.prefix}:${target.queue}:`
    const job = `e-${place.keys.scope}-a`
    // Without its mark: the job is looked for, then, once it has failed, captured.
    await admin.del(target.keys.mark('a'))
    const [second] = (await path.settle([{ kind: 'Forward', id: c, item: item('a', c), redrives: 0 }])).outcomes
    assert.ok(second?.kind === 'duplicate' || second?.kind === 'gone', JSON.stringify(second))
    await admin.hset(queueKey + job, { finishedOn: '5', failedReason: 'test', atm: '1' })
    await Promise.all([
      admin.lrem(`${queueKey}wait`, 0, job),
      admin.zrem(`${queueKey}delayed`, job),
      admin.zrem(`${queueKey}prioritized`, job),
    ])
    await admin.zadd(`${queueKey}failed`, 5, job)
    const codec = createCodec(pipeline.payload)
    for (const side of new Set([placement.together, false])) {
      await createSweeper({
        ...{ stream: connection, queue: connection, codec, scripts },
        placement: { ...placement, together: side },
      }).sweep()
    }
    assert.equal(await admin.xlen(place.deadLetters), 2)
    await admin.xtrim(place.stream, 'MAXLEN', 0)
    await claimEntries(connection, place, 'me', 0, ids)
    await retainEntries(connection, place, { settledForMs: 0, maxEntries: 1, ignoredGroups: [] })
    assert.deepEqual(await refusals(near), [])
  })
}

test('an operator with no other rights looks, decides, reaps and waits for the entry that wakes', async (t) => {
  const pipeline = pipelineWith({ redis: { url: near.url, ...access }, source: { stream: 'looked-at' } })
  await grant(near, aclRules(pipeline).stream)
  const connection = await restricted(t, near)
  const place = streamPlace(pipeline)
  await checkBackends(pipeline, connection, connection)
  await connection.set(place.keys.mode, 'Stream')
  const admin = near.client()
  await admin.xgroup('CREATE', place.stream, place.group, '0', 'MKSTREAM')
  for (const value of ['a', 'b']) await admin.xadd(place.stream, '*', 'v', value)
  await admin.xreadgroup('GROUP', place.group, 'vanished', 'COUNT', 1, 'STREAMS', place.stream, '>')
  await admin.hset(place.keys.consumers, 'vanished', 'uid')
  const sample = await observe(connection, pipeline)
  assert.deepEqual([sample.undelivered, sample.pending], [1, 1])
  const deceased = { name: 'vanished', uid: 'uid', minIdleMs: 30_000, requireExpiredHeartbeat: true }
  assert.equal((await reapConsumer(connection, place, deceased)).kind, 'Released')
  const [command = '', ...args] = readCommand(new Map([[place.stream, '0-0']]), 100)
  assert.ok(Array.isArray(await connection.call(command, ...args)))
  assert.deepEqual(await refusals(near), [])
})

test('a person with no other rights lists, replays and purges dead letters', async (t) => {
  const pipeline = pipelineWith({ source: { stream: 'graves' }, sink: { queue: 'graves' } })
  await grant(near, aclRules(pipeline).stream)
  const connection = await restricted(t, near)
  const place = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  const plan = await chooseSettlePath(pipeline, connection, connection)
  t.after(() => plan.path.close())
  const admin = near.client()
  await admin.xgroup('CREATE', place.stream, place.group, '0', 'MKSTREAM')
  const many = Array.from({ length: 5_000 }, (_, i) => [`v${i}`, 'b']).flat()
  for (const [value, fields] of [
    ['a', ['v', 'a']],
    ['many', many],
    ['b', ['v', 'b']],
  ] as const) {
    const id = String(await admin.xadd(place.stream, '*', ...fields))
    await admin.xreadgroup('GROUP', place.group, 'me', 'STREAMS', place.stream, '>')
    await settleEntries(connection, place, [], [{ id, reason: 'JobFailed', error: 'test', hash: value, redrives: 0 }])
    await admin.set(target.keys.mark(value), id)
  }
  const letters = createDeadLetters({ stream: connection, queue: connection, ...plan })
  const [first, large, last] = await Array.fromAsync(letters.list({}))
  assert.ok(first && large && last)
  await checkReplayRights(pipeline, connection)
  assert.equal((await letters.replay(first)).kind, 'replayed')
  assert.equal((await letters.replay(large)).kind, 'replayed')
  assert.equal(await letters.purge([last.id]), 1)
  assert.deepEqual([await admin.xlen(place.stream), await admin.xlen(place.deadLetters)], [5, 0])
  assert.deepEqual(await refusals(near), [])
})

test('a person with no other rights asks where a request is', async (t) => {
  const pipeline = pipelineWith({ source: { stream: 'asked' }, sink: { queue: 'asked' } })
  await grant(near, aclRules(pipeline).stream)
  const connection = await restricted(t, near)
  const { place, target } = placementOf(pipeline)
  const codec = createCodec(pipeline.payload)
  const entry = String(await near.client().xadd(place.stream, '*', 'v', 'a'))
  const parts = { stream: connection, queue: connection, place, target, codec }
  const { state, key = '' } = await requestStatus(parts, { entry })
  assert.equal(state, 'Unread')
  assert.equal((await requestStatus(parts, { hash: key }, 10)).state, 'Unread')
  assert.deepEqual(await refusals(near), [])
})

test('a right that only a replay needs is named before anything is replayed, and consumers do not ask for it', async (t) => {
  const pipeline = pipelineWith({ source: { stream: 'graves' }, sink: { queue: 'graves' } })
  for (const [taken, says] of [
    ['xdel', /XDEL on \{graves\}:dead \(grant \+xdel\)/],
    ['watch', /WATCH on sp:\{graves\}:\S+ \(grant \+watch\)/],
  ] as const) {
    await grant(near, [...aclRules(pipeline).stream, `-${taken}`])
    const connection = await restricted(t, near)
    await checkBackends(pipeline, connection, connection)
    await assert.rejects(checkReplayRights(pipeline, connection), says)
  }
})

/** Reached only where these tests do not go: a failover of the queue, moving slots, forgotten scripts, a cluster. */
const elsewhere = ['wait', 'asking', 'cluster|slots', 'cluster|info', 'script|load', 'zrevrangebyscore', 'scard', 'smembers']

test('every right of the table was used by these runs', async () => {
  const used = new Set<string>()
  for (const server of [near, far]) {
    for (const [, command = ''] of (await server.client().info('commandstats')).matchAll(/^cmdstat_([^:]+):/gm)) used.add(command)
  }
  const idle = aclPermissions
    .map(({ command }) => command)
    .filter((command) => !used.has(command) && !elsewhere.includes(command))
  assert.deepEqual(idle, [])
})

test('every command in the scripts is in the table', async (t) => {
  const listed = new Set(aclPermissions.map(({ command }) => command))
  const texts = globSync('redis/{stream,bullmq,settle,deadletters,scripts}/**/*.{ts,lua}', { cwd: projectRoot }).map((file) =>
    readFileSync(join(projectRoot, file), 'utf8'),
  )
  const connection = connect(address(near.port), 'Writer')
  t.after(() => close(connection))
  const bull = await openBullQueue(connection, 'texts', 'bull')
  t.after(() => bull.close())
  for (const name of ['addStandardJob', 'addDelayedJob', 'addPrioritizedJob', 'removeJob', 'getState']) {
    texts.push(bull.scripts.get(name)?.lua ?? assert.fail(name))
  }
  const found = texts.flatMap((text) => [
    ...text.matchAll(/(?:redis\.p?call|rcall)\(\s*["'](\w+)["'](?:\s*,\s*["']([A-Z]+)["'])?/g),
  ])
  const commands = new Set(
    found.map(([, name = '', sub = '']) => (/^X(INFO|GROUP)$/.test(name) ? `${name}|${sub}` : name).toLowerCase()),
  )
  // BullMQ's branches for deduplication and parents, which no job of ours has; and the lock of workers, who are another user.
  const unreachable = ['persist', 'pexpire', 'sadd', 'srem']
  assert.deepEqual([...commands].filter((command) => !listed.has(command)).toSorted(), unreachable)
})

const missing: [what: string, take: string[], says: RegExp][] = [
  ['a command', ['-xack'], /XACK on one \(grant \+xack\)/],
  [
    'two commands',
    ['-hincrby', '-client|unblock'],
    /CLIENT UNBLOCK, HINCRBY on sp:\{one\}:\S+:stats \(grant \+client\|unblock \+hincrby\)/,
  ],
  [
    'the dead letters',
    ['resetkeys', '~one', '~sp:{one}:*', '~bull:ndvi:*'],
    /any command on \{one\}:dead \(grant ~\{one\}:dead\)/,
  ],
  ['the queue', ['resetkeys', '~one', '~{one}:dead', '~sp:{one}:*'], /any command on bull:ndvi:wait \(grant ~bull:ndvi:\*\)/],
]
for (const [what, take, says] of missing) {
  test(`${what} missing: reported at start, with the rule that grants it`, async (t) => {
    const pipeline = pipelineWith({ source: { stream: 'one' } })
    await grant(near, [...aclRules(pipeline).stream, ...take])
    const connection = await restricted(t, near)
    await assert.rejects(checkBackends(pipeline, connection, connection), ({ code, message }: StreamPipelineError) => {
      assert.equal(code, 'RedisPermissionDenied')
      assert.match(message, says)
      return true
    })
    await grant(near, aclRules(pipeline).stream)
    await checkBackends(pipeline, connection, connection)
  })
}

for (const command of ['multi', 'exec', 'script|load']) {
  test(`${command} missing: reported by name at start where the portable path is used, and not asked for elsewhere`, async (t) => {
    const pipeline = pipelineWith({ source: { stream: 'one' } })
    await grant(near, [...aclRules(pipeline).stream, `-${command}`])
    const connection = await restricted(t, near)
    await checkBackends(pipeline, connection, connection)
    const { path } = await chooseSettlePath(pipeline, connection, connection)
    await path.close()
    await assert.rejects(
      chooseSettlePath(pipeline, connection, connection, 'portable'),
      ({ code, message }: StreamPipelineError) => {
        assert.equal(code, 'RedisPermissionDenied')
        assert.ok(message.includes(`${command.toUpperCase().replace('|', ' ')} (grant +${command})`), message)
        return true
      },
    )
    await grant(near, aclRules(pipeline).stream)
    await (await chooseSettlePath(pipeline, connection, connection, 'portable')).path.close()
  })
}

test('a consumer that falls back says which right it lacks, and starts once it has it', async (t) => {
  const spec = { redis: { url: near.url, ...access }, source: { stream: 'four' }, sink: { queue: 'four' } }
  const rules = aclRules(pipelineWith(spec)).stream
  await grant(near, [...rules, '-multi'])
  const topology = await openTopology(t, { spec, refs, redis: near.client(), env: anotherBullMq })
  await topology.add(5)
  const consumer = await topology.launch('pod-0')
  const refused = await consumer.logged(/MULTI \(grant \+multi\)/)
  assert.equal(refused['code'], 'RedisPermissionDenied')
  await grant(near, rules)
  await consumer.ready()
  await topology.settled(numbers(5))
  assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
})
