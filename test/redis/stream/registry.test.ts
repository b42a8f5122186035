/** Names of local processes that ended without leaving go after a day. No other names do. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { retireVanished, sendHeartbeat } from '../../../redis/stream/registry.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { pipelineWith, placeNamed } from '../resource.ts'

test('a local name that is silent and holds nothing goes; the living, holders, pods and strangers stay', async (t) => {
  const redis = (await startRedis(t)).client()
  const place = placeNamed('s')
  const { keys, group } = place
  await ensureGroup(redis, keys, pipelineWith({ source: { stream: 's' } }).source)
  const beat = {
    ...{ state: 'Running', inFlight: 0, serviceMs: 0, path: 'Atomic' },
    ...{ forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 },
  }
  const names = { gone: 'local-a-1-1/1', living: 'local-b-1-1/1', holder: 'local-c-1-1/1', pod: 'f00-pipeline/9a40' }
  for (const [name, uid] of Object.entries(names)) {
    await sendHeartbeat(redis, place, name, { uid, ...beat })
    if (name !== 'living') await redis.del(keys.consumer(name))
    await redis.xgroup('CREATECONSUMER', 's', group, name)
    if (name === 'holder') await redis.xadd('s', '*', 'k', 'v')
    await redis.xreadgroup('GROUP', group, name, 'STREAMS', 's', '>')
  }
  await redis.xgroup('CREATECONSUMER', 's', group, 'stranger')
  assert.equal(await retireVanished(redis, place), 0, 'not before a day has passed')
  await eventually(async () => (await retireVanished(redis, place, 20)) === 1)
  assert.equal(await retireVanished(redis, place, 20), 0)
  const left = ((await redis.xinfo('CONSUMERS', 's', group)) as unknown[][]).map(([, name]) => String(name))
  assert.deepEqual(left.toSorted(), ['holder', 'living', 'pod', 'stranger'])
  assert.deepEqual(Object.keys(await redis.hgetall(keys.consumers)).toSorted(), ['holder', 'living', 'pod'])
})
