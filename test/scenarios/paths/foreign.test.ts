/** Another program's key in the place of a job, its lock, a mark or a forwarder's lock: that entry ends by itself, the others go on. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createSweeper } from '../../../redis/deadletters/capture.ts'
import { createDeadLetters } from '../../../redis/deadletters/replay.ts'
import { kindsOf, type OpenPath, openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

type Placing = readonly [what: string, place: (path: OpenPath, key: string) => string, own: string]
const placings: readonly Placing[] = [
  ['job', (path, key) => path.jobKey(key), 'hash'],
  ["job's lock", (path, key) => `${path.jobKey(key)}:lock`, 'string'],
  ['mark', (path, key) => path.mark(key), 'string'],
]
const literals: Readonly<Record<string, (path: OpenPath, key: string) => Promise<unknown>>> = {
  string: async ({ queueClient }, key) => await queueClient.set(key, 'text'),
  list: async ({ queueClient }, key) => await queueClient.rpush(key, 'text'),
  hash: async ({ queueClient }, key) => await queueClient.hset(key, 'a', 'b'),
  zset: async ({ queueClient }, key) => await queueClient.zadd(key, 1, 'b'),
  stream: async ({ queueClient }, key) => await queueClient.xadd(key, '*', 'a', 'b'),
}

/** A job of this key that failed so long ago that it makes way. */
async function outlived(path: OpenPath, key: string) {
  const { queueClient, queueKey } = path
  await path.settle(await putAndRead(path, key))
  await queueClient.del(path.mark(key))
  await queueClient.lrem(`${queueKey}wait`, 0, path.id(key))
  await queueClient.zadd(`${queueKey}failed`, 1_000, path.id(key))
  await queueClient.hset(path.jobKey(key), { finishedOn: '1000', failedReason: 'boom' })
}

async function putAndRead(path: OpenPath, ...keys: string[]) {
  await path.putKeys(...keys)
  return await path.read()
}

for (const kind of pathKinds) {
  test(`${kind}: forwarding rejects the entry, names the key, and forwards the others`, async (t) => {
    const path = await openPath(t, kind, servers)
    let made = 0
    for (const [what, placeOf, own] of placings) {
      for (const [type, lay] of Object.entries(literals)) {
        if (type === own) continue
        const key = `k${made++}`
        if (what === "job's lock") await outlived(path, key)
        const at = placeOf(path, key)
        await lay(path, at)
        const outcomes = await path.settle(await putAndRead(path, `${key}-before`, key, `${key}-after`))
        assert.deepEqual(kindsOf(outcomes), ['forwarded', 'dead', 'forwarded'], `${what}: ${type}`)
        const record = (await path.dead()).at(-1)
        assert.equal(record?.reason, 'SinkRejected')
        assert.match(
          record?.error ?? '',
          new RegExp(`^key ${at.replaceAll(/[{}]/g, '\\$&')} holds a ${type}, not a (job|lock|mark)$`),
        )
        assert.equal(await path.queueClient.type(at), type, 'it is not touched')
      }
    }
    assert.deepEqual(await path.pending(), [])
  })

  test(`${kind}: a replay names the key and its remedy, keeps the record, and goes through once the key is gone`, async (t) => {
    const path = await openPath(t, kind, servers)
    const letters = createDeadLetters(path.connections)
    let made = 0
    for (const [what, placeOf, own] of placings) {
      for (const [type, lay] of Object.entries(literals)) {
        if (type === own) continue
        const key = `r${made++}`
        const [id = ''] = await path.putKeys(key)
        const [entry] = await path.read()
        assert.ok(entry)
        // A job that failed at once, so that its record has its key.
        await path.deliver(id, path.pipeline.delivery.maxDeliveries + 1)
        assert.deepEqual(kindsOf(await path.settle([entry])), ['dead'])
        const record = (await path.dead()).at(-1)
        assert.ok(record)
        const at = placeOf(path, key)
        await lay(path, at)
        const outcome = await letters.replay(record)
        assert.ok(outcome.kind === 'foreign', `${what}: ${type} gave ${outcome.kind}`)
        assert.deepEqual([outcome.key, outcome.code], [at, 'WrongKeyType'])
        assert.match(outcome.message, new RegExp(`holds a ${type}, not a ${own}$`))
        assert.match(outcome.remedy, /remove the key/)
        assert.equal(await path.queueClient.type(at), type)
        await path.queueClient.del(at)
        assert.equal((await letters.replay(record)).kind, 'replayed')
        await path.settle(await path.read())
      }
    }
    assert.deepEqual(await path.pending(), [])
  })

  test(`${kind}: the sweep passes over a failed job that is none, names it, and captures the others`, async (t) => {
    const path = await openPath(t, kind, servers)
    const keys = ['a', 'b', 'c', 'd']
    await path.settle(await putAndRead(path, ...keys))
    for (const [at, key] of keys.entries()) {
      await path.queueClient.lrem(`${path.queueKey}wait`, 0, path.id(key))
      await path.queueClient.zadd(`${path.queueKey}failed`, Date.now() + at, path.id(key))
      await path.queueClient.hset(path.jobKey(key), { finishedOn: String(Date.now() + at), failedReason: 'boom', atm: '1' })
    }
    await path.queueClient.del(path.jobKey('a'))
    await path.queueClient.set(path.jobKey('a'), 'text')
    if (kind !== 'Portable') await path.queueClient.rpush(`${path.jobKey('c')}:lock`, 'text')
    const sweeper = createSweeper({ ...path.connections, codec: path.codec })
    const swept = await sweeper.sweep()
    assert.equal(swept.foreign?.code, 'WrongKeyType')
    assert.equal(swept.foreign?.parameters['key'], path.jobKey('a'))
    const recorded = (await path.dead()).map(({ reason }) => reason)
    assert.equal(recorded.length, 3)
    assert.equal(swept.removed + swept.kept, kind === 'Portable' ? 3 : 2)
    assert.equal((await sweeper.sweep()).removed, 0, 'nothing is recorded twice')
    assert.equal((await path.dead()).length, 3)
  })
}

test('Portable: a lock that another program left, of another type or without expiry, stops no entry', async (t) => {
  const path = await openPath(t, 'Portable', servers)
  const { keys } = path.target
  const lockOf = (key: string) => keys.lock(path.mark(key).slice(keys.mark('').length))
  await path.queueClient.rpush(lockOf('list'), 'text')
  await path.queueClient.set(lockOf('endless'), 'text')
  const entries = await putAndRead(path, 'list', 'endless', 'free')
  assert.deepEqual(kindsOf(await path.settle(entries)), ['dead', 'contended', 'forwarded'])
  assert.ok((await path.queueClient.pttl(lockOf('endless'))) > 0, 'it expires from now on')
  await path.queueClient.pexpire(lockOf('endless'), 1)
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(kindsOf(await path.settle(entries.slice(1, 2))), ['forwarded'])
})
