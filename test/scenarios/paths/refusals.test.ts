/**
 * Redis refuses one command in the middle of a settlement. Scripts do not roll back, so whatever was written before stays:
 * afterwards the entry must still be pending, and a second attempt must leave exactly one job, in exactly one list.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import type { CompiledJobOptions } from '../../../api/compiled.ts'
import type { SettleOutcome } from '../../../redis/settle/path.ts'
import { forwardWays, kindsOf, type OpenPath, openPath, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { openRights, type Rights } from '../../support/rights.ts'

let servers: Servers
let rights: Rights
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
  rights = await openRights(stream, queue)
})

/** The portable path may have been kept from letting go of its locks; they would run out. */
async function releaseLocks({ queueClient, target }: OpenPath) {
  const locks = await queueClient.keys(`${target.keys.prefix}lock:*`)
  if (locks.length > 0) await queueClient.del(locks)
}

/** Whether Redis refused to settle them. */
const isRefused = async (settling: Promise<readonly SettleOutcome[]>) =>
  await settling.then(
    (outcomes) => outcomes.some(({ kind }) => kind === 'unsettled'),
    () => true,
  )

/** Each command that one of the scripts sends: BullMQ's adds, the marks, the dead letters, the acknowledgement. */
const commands = [
  ...[
    'exists',
    'get',
    'hget',
    'hmget',
    'hmset',
    'hset',
    'incr',
    'incrby',
    'lpush',
    'rpush',
    'lindex',
    'llen',
    'lpos',
    'zadd',
    'zcard',
    'zrange',
  ],
  ...['zrevrangebyscore', 'zscore', 'zrem', 'zpopmin', 'pttl', 'ttl', 'set', 'del', 'type', 'time'],
  ...['xadd', 'xack', 'xpending', 'xrange', 'hincrby', 'hexists', 'evalsha', 'exec', 'multi'],
]

const variants: [what: string, options: Partial<CompiledJobOptions>][] = [
  ['plain', {}],
  ['delayed', { delay: 3_600_000 }],
  ['prioritised', { priority: 7 }],
  ['lifo', { lifo: true }],
]

for (const { kind, add } of forwardWays) {
  describe(`${kind}, ${add}: each command refused in turn, then not`, () => {
    for (const [what, jobOptions] of variants) {
      test(`${what} jobs`, async (t: TestContext) => {
        const path = await openPath(t, kind, servers, { jobOptions, add })
        const { put, putKeys, read, settle, live, pending, queueClient, jobKey, dead, mark } = path
        await putKeys('warm')
        await settle(await read())
        let jobs = 1
        let graves = 0
        const met: string[] = []
        for (const command of commands) {
          // One plain key, one whose finished job must make way, one that is dead-lettered.
          const [plain, outlived] = [`plain-${command}`, `old-${command}`]
          await queueClient.hset(jobKey(outlived), 'timestamp', '1', 'finishedOn', '1', 'name', 'x', 'data', '{}', 'opts', '{}')
          await queueClient.zadd(`${path.queueKey}completed`, 1, path.id(outlived))
          await putKeys(plain, outlived)
          await put('k', 'twice', 'k', 'twice')
          const entries = await read()
          if (await rights.without([command], () => isRefused(settle(entries)))) met.push(command)
          await releaseLocks(path)
          // An entry that is `gone` was settled before the refusal.
          await settle(entries)
          jobs += 2
          graves += 1
          const ids = await live()
          assert.deepEqual([ids.length, new Set(ids).size], [jobs, jobs], `${command}: lost or doubled`)
          for (const key of [plain, outlived]) {
            assert.ok(ids.includes(path.id(key)), `${command}: ${key} is in no list`)
            assert.deepEqual(await queueClient.hexists(jobKey(key), 'data'), 1, command)
            assert.equal(await queueClient.exists(mark(key)), 1, `${command}: ${key} has no mark`)
          }
          assert.deepEqual([await pending(), (await dead()).length], [[], graves], `${command}: left or dead-lettered twice`)
          assert.deepEqual(await queueClient.zrange(`${path.queueKey}completed`, '0', '-1'), [])
        }
        for (const command of ['xadd', 'xack', 'set', 'zadd', add === 'Specialised' ? 'incrby' : 'incr']) {
          assert.ok(met.includes(command), `nothing refused ${command}; met ${met.join(' ')}`)
        }
      })
    }

    /** For each command: a batch that is refused three times, then not. @returns the remains of each */
    const refusedThrice = async (t: TestContext) => {
      const path = await openPath(t, kind, servers, { add })
      const { put, putKeys, read, settle, live, pending, dead } = path
      await putKeys('warm')
      await settle(await read())
      const left: { readonly command: string; readonly records: number; readonly jobs: number }[] = []
      for (const [index, command] of commands.entries()) {
        const [records, jobs] = [(await dead()).length, (await live()).length]
        await put('k', 'twice', 'k', 'twice')
        await putKeys(`after-${index}`)
        const entries = await read()
        for (let tries = 0; tries < 3; tries++) {
          await rights.without([command], () => isRefused(settle(entries)))
          await releaseLocks(path)
        }
        await settle(entries)
        assert.deepEqual(await pending(), [], command)
        left.push({ command, records: (await dead()).length - records, jobs: (await live()).length - jobs })
      }
      return left
    }

    test('a dead letter is recorded once when a later add of its batch is refused', async (t) => {
      assert.deepEqual(
        (await refusedThrice(t)).filter(({ records }) => records !== 1),
        [],
      )
    })

    test('an add that is refused again and again ends as one job', async (t) => {
      assert.deepEqual(
        (await refusedThrice(t)).filter(({ jobs }) => jobs !== 1),
        [],
      )
    })

    test('what BullMQ’s own add left half-done: one job', async (t) => {
      const path = await openPath(t, kind, servers, { add })
      const { putKeys, read, settle, live, pending, queueClient, queueKey, queue, target, id } = path
      const parts = ['wait', 'meta', 'id', 'marker', 'events']
      for (const [count, part] of parts.entries()) {
        const key = queueKey + part
        await queueClient.set(key, 'litter')
        await queue.add(target.jobName, { k: part }, { jobId: id(part) }).catch(() => undefined)
        await queueClient.del(key)
        await putKeys(part)
        const [outcome] = kindsOf(await settle(await read()))
        assert.ok(outcome === 'forwarded' || outcome === 'duplicate', part)
        const ids = await live()
        assert.deepEqual([ids.length, new Set(ids).size], [count + 1, count + 1], part)
        assert.ok(ids.includes(id(part)), part)
        assert.deepEqual(await pending(), [])
      }
    })
  })
}
