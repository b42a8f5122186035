/** The BullMQ scripts that the consumer's bundle holds suffice on every path: here no connection knows another one. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { bullmqScripts } from '../../../build/slim.ts'
import { forwardWays, kindsOf, type OpenPath, openPath } from '../../paths/fixture.ts'
import { startRedis } from '../../support/redis.ts'

const kept = new Set(bullmqScripts.map((file) => file.replace(/-\d+$/, '')))
const refused = new Set<string>()
const { defineCommand } = Redis.prototype
Redis.prototype.defineCommand = function (name, definition) {
  // BullMQ's commands carry its version; ours do not.
  const [plain = '', version] = name.split(':')
  if (version === undefined || kept.has(plain)) return defineCommand.call(this, name, definition)
  refused.add(plain)
}

const settled = async (path: OpenPath, ...keys: string[]) => {
  await path.putKeys(...keys)
  return kindsOf(await path.settle(await path.read()))
}

const kinds = { plain: {}, delayed: { delay: 60_000 }, prioritised: { priority: 3 } }
for (const { kind, add } of forwardWays) {
  describe(`${kind}, ${add}`, () => {
    for (const [what, jobOptions] of Object.entries(kinds)) {
      test(`${what} jobs: added, found where they wait, and removed where they make way`, async (t) => {
        const servers = { stream: await startRedis(t), queue: await startRedis(t) }
        const path = await openPath(t, kind, servers, { add, jobOptions })
        const { queueClient, jobKey, mark, queueKey, id } = path
        assert.deepEqual(await settled(path, 'a', 'b', 'c'), ['forwarded', 'forwarded', 'forwarded'])
        await queueClient.del(mark('a'), mark('b'), mark('c'))
        // Job a waits, without a note of that. Job b finished long ago. Job c was left half-made.
        await queueClient.hdel(jobKey('a'), 'spAdded')
        await queueClient.hset(jobKey('b'), { timestamp: 1, finishedOn: 1 })
        await queueClient.zadd(`${queueKey}completed`, 1, id('b'))
        for (const list of ['delayed', 'prioritized']) await queueClient.zrem(queueKey + list, id('b'), id('c'))
        await queueClient.lrem(`${queueKey}wait`, 0, id('b'))
        await queueClient.lrem(`${queueKey}wait`, 0, id('c'))
        assert.deepEqual(await settled(path, 'a', 'b', 'c'), ['duplicate', 'forwarded', 'forwarded'])
      })
    }
  })
}

test('a worker’s scripts are among those that are left out', () => {
  assert.ok(refused.has('moveToActive') && refused.has('moveToFinished'), [...refused].join(' '))
})
