/** Entries under the own name that the consumer does not hold are taken up, however many others lie before them. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { Redis } from 'ioredis'
import { createHeldEntries } from '../../../consumer/held.ts'
import { createLifecycle } from '../../../consumer/lifecycle.ts'
import { createReclaimer } from '../../../consumer/reclaimer.ts'
import { systemClock } from '../../../process/clock.ts'
import { createSemaphore } from '../../../process/semaphore.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { listPending } from '../../../redis/stream/pending.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

let redis: Redis
const scope = fileScope()
before(async () => {
  redis = (await startRedis(scope)).client()
})

/** So many entries under the name `me`, idle for long; those at `isHeld` are held by the process. */
async function lay(name: string, count: number, isHeld: (at: number) => boolean, deliveries = 1) {
  const pipeline = pipelineWith({ source: { stream: name, batchSize: 100 } })
  const place = streamPlace(pipeline)
  await ensureGroup(redis, place.keys, pipeline.source)
  await redis.eval(`for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'n', i) end`, 1, name, count)
  await redis.xreadgroup('GROUP', place.group, 'me', 'COUNT', count, 'STREAMS', name, '>')
  const ids = (await listPending(redis, place, { start: '-', count })).map(({ id }) => id)
  for (let at = 0; at < ids.length; at += 1_000) {
    const page = ids.slice(at, at + 1_000)
    await redis.call('XCLAIM', name, place.group, 'me', '0', ...page, 'IDLE', '60000', 'RETRYCOUNT', deliveries, 'JUSTID')
  }
  const held = createHeldEntries()
  const [ours, lost] = [ids.filter((_, at) => isHeld(at)), ids.filter((_, at) => !isHeld(at))]
  held.add(ours, 0)
  const lifecycle = createLifecycle(1_000_000, () => performance.now())
  lifecycle.dispatch({ kind: 'Started' })
  const regained: string[] = []
  const reclaimer = createReclaimer({
    ...{ pipeline, place, consumer: 'me', connection: redis, held, lifecycle, slots: createSemaphore(4) },
    endRead: async () => undefined,
    clock: systemClock,
    async settle(batch) {
      const settled = batch.map(({ id }) => id)
      regained.push(...settled)
      await settleEntries(redis, place, settled, [])
      held.remove(settled)
    },
    report: () => undefined,
  })
  return {
    reclaimer,
    regained,
    lost,
    ours,
    lifecycle,
    left: async () => await listPending(redis, place, { start: '-', count: 100_000 }),
  }
}

const cases: [what: string, count: number, isHeld: (at: number) => boolean, deliveries?: number][] = [
  ['behind a page of held ones', 300, (at) => at < 256],
  ['behind several pages of held ones', 1_300, (at) => at < 1_200],
  ['a few in each page', 1_500, (at) => at % 100 !== 7],
  ['more than a page of lost ones', 700, () => false],
  ['that were delivered before', 600, (at) => at < 300, 2],
]
for (const [index, [what, count, isHeld, deliveries]] of cases.entries()) {
  test(`lost entries are regained in one round: ${what}`, async () => {
    const { reclaimer, regained, lost, ours, left } = await lay(`regain-${index}`, count, isHeld, deliveries)
    await reclaimer.regainLost()
    assert.deepEqual(regained.toSorted(), lost.toSorted())
    assert.deepEqual(
      (await left()).map(({ id }) => id),
      ours,
    )
  })
}

test('a round is bounded, and the next one goes on behind it', async () => {
  const { reclaimer, regained, lost } = await lay('regain-many', 9_500, (at) => at < 9_000)
  await reclaimer.regainLost()
  assert.deepEqual(regained, [], 'it looks through some thousand rows')
  await reclaimer.regainLost()
  await reclaimer.regainLost()
  assert.deepEqual(regained.toSorted(), lost.toSorted())
})
