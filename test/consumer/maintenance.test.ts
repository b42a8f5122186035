/** One round of maintenance catches up with all entries since the last one, whatever a consumer forwards in between. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { Redis } from 'ioredis'
import { createRounds, maintain } from '../../consumer/maintenance.ts'
import { streamPlace } from '../../redis/placement.ts'
import { ensureGroup } from '../../redis/stream/group.ts'
import { settleEntries } from '../../redis/stream/settlement.ts'
import { pipelineWith } from '../redis/resource.ts'
import { fileScope } from '../redis/scope.ts'
import { startRedis } from '../support/redis.ts'

/** More entries than a single trim removes: a few seconds of one consumer's work. */
const many = 35_000
/** Approximate trimming removes whole nodes of a stream. By default a node holds so many entries. */
const nodeEntries = 100

let redis: Redis
const scope = fileScope()
before(async () => {
  redis = (await startRedis(scope)).client()
})

async function lay(stream: string, retention: object) {
  const pipeline = pipelineWith({ source: { stream, retention } })
  const place = streamPlace(pipeline)
  await ensureGroup(redis, place.keys, pipeline.source)
  await redis.eval(`for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'n', i) end`, 1, stream, many)
  return {
    place,
    round: async () => await maintain(pipeline, redis, place, undefined),
    left: async () => await redis.xlen(stream),
  }
}

test('all that is settled and old enough goes', async () => {
  const { place, round, left } = await lay('settled:jobs', { settledFor: '0s' })
  for (let settled = 0; settled < many; ) {
    const reply = (await redis.xreadgroup('GROUP', place.group, 'c', 'COUNT', 5_000, 'STREAMS', place.stream, '>')) as [
      string,
      [string, string[]][],
    ][]
    const ids = reply[0]?.[1].map(([id]) => id) ?? []
    settled += (await settleEntries(redis, place, ids, [])).acknowledged
  }
  await round()
  assert.ok((await left()) <= nodeEntries, `${await left()} of ${many} settled entries stay`)
})

test('the stream is cut to maxEntries', async () => {
  const { round, left } = await lay('bounded:jobs', { maxEntries: 1_000 })
  await round()
  assert.ok((await left()) <= 1_000 + nodeEntries, `${await left()} entries stay; maxEntries is 1000`)
})

test('retention comes again after a second while there is work or maxEntries bounds the stream, and rests at last for ten', () => {
  const nothing = { settled: 0, cut: 0, removed: 0, kept: 0 }
  const rounds = createRounds(pipelineWith(), 0)
  rounds.done({ ...nothing, settled: 5 }, false, 0, 1_000)
  assert.equal(rounds.waitMs, 1_000, 'something was trimmed')
  for (let round = 0; round < 6; round++) rounds.done(nothing, false, 0, 2_000)
  assert.equal(rounds.waitMs, 10_000, 'nothing to do')
  rounds.done(nothing, false, 1, 3_000)
  assert.equal(rounds.waitMs, 1_000, 'an entry was settled')
  const bounded = createRounds(pipelineWith({ source: { retention: { maxEntries: 10 } } }), 0)
  for (let round = 0; round < 6; round++) bounded.done(nothing, false, 0, 2_000)
  assert.equal(bounded.waitMs, 1_000, 'the stream may grow while nobody reads')
})

test('a sweep that found failed jobs goes on with the next round, a second later; one that found none rests', () => {
  const rounds = createRounds(pipelineWith(), 0)
  rounds.done({ settled: 0, cut: 0, removed: 4_000, kept: 1_000 }, true, 0, 20_000)
  assert.deepEqual([rounds.waitMs, rounds.isSweepDue(21_000)], [1_000, true])
  rounds.done({ settled: 0, cut: 0, removed: 0, kept: 0 }, true, 0, 21_000)
  assert.deepEqual([rounds.isSweepDue(22_000), rounds.isSweepDue(31_000)], [false, true])
})
