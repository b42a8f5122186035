/** An entry that a living consumer holds is not a peer's to take, however short `reclaim.minIdle` is. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHeldEntries } from '../../../consumer/held.ts'
import { createLifecycle } from '../../../consumer/lifecycle.ts'
import { createNudges } from '../../../consumer/nudges.ts'
import { createPresence } from '../../../consumer/presence.ts'
import { createTally } from '../../../consumer/tally.ts'
import { systemClock } from '../../../process/clock.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { listPending } from '../../../redis/stream/pending.ts'
import { pipelineWith, placeNamed } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

/** The lowest value that the schema allows. */
const minIdleMs = 1_000

test('a held entry is renewed before it is idle for minIdle, while the heart beats as ever', async (t) => {
  const redis = (await startRedis(t)).client()
  const place = placeNamed('s')
  await ensureGroup(redis, place.keys, pipelineWith({ source: { stream: 's' } }).source)
  const id = String(await redis.xadd('s', '*', 'k', 'v'))
  await redis.xreadgroup('GROUP', place.group, 'c', 'STREAMS', 's', '>')
  const clock = systemClock
  const held = createHeldEntries()
  held.add([id], clock.now())
  const beats: number[] = []
  const presence = createPresence({
    ...{ connection: redis, place, name: 'c', uid: 'local-a/1', minIdleMs, held, clock },
    lifecycle: createLifecycle(1, clock.now),
    tally: createTally(),
    nudges: createNudges(),
    path: () => 'Atomic',
    trimmed: () => undefined,
    heartbeatSent: (atMs) => beats.push(atMs),
  })
  const leaving = new AbortController()
  const beating = presence.beating(leaving.signal)
  let longest = 0
  await eventually(async () => {
    const [row] = await listPending(redis, place, { start: '-', count: 1 })
    longest = Math.max(longest, row?.idleMs ?? 0)
    return beats.length === 3
  })
  leaving.abort()
  await beating
  assert.ok(longest < minIdleMs, `it was idle for ${longest} ms`)
  const between = beats.map((at, index) => at - (beats[index - 1] ?? at - 2_000))
  assert.ok(Math.min(...between) > 1_500, `${between} ms between beats`)
})
