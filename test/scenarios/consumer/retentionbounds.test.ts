/** Retention against one consumer at its highest rate, and its report at start. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

test('large nodes of the stream are reported at start', async (t) => {
  const server = await startRedis(t, { args: ['--stream-node-max-entries', '0', '--stream-node-max-bytes', '0'] })
  const { start, redis, place } = openPipeline(t, server, { source: { stream: 'nodes' }, sink: { queue: 'nodes' } })
  await redis.eval("for i = 1, 12000 do redis.call('XADD', KEYS[1], '*', 'job_id', i) end", 1, place.stream)
  const consumer = await start('pod-0')
  const begun = performance.now()
  const line = await consumer.logged('the stream has large nodes; trimming them holds Redis for milliseconds')
  // Rounds without work come each ten seconds, with work each second.
  assert.ok(performance.now() - begun < 5_000)
  assert.ok(Number(line['nodeEntries']) > 5_000)
  assert.match(String(line['remedy']), /stream-node-max-entries/)
  await consumer.stop()
})

/** Entries that approximate trimming leaves. */
const remnant = 230

test('at the highest rate of a consumer the stream holds its backlog, and what was settled within settledFor and a second', async (t) => {
  const server = await startRedis(t)
  const { start, redis, place, pipeline } = openPipeline(t, server, {
    source: { stream: 'fast', retention: { settledFor: '2s' } },
    sink: { queue: 'fast', maxWaiting: 10_000_000 },
  })
  const consumer = await start('pod-0')
  await redis.eval("for i = 1, 20000 do redis.call('XADD', KEYS[1], '*', 'job_id', i) end", 1, place.stream)
  const { group } = pipeline.source
  const settledForMs = pipeline.source.retention.settledForMs
  let worst = 0
  const settledBefore = async () => {
    const [stats, length, groups, time] = await Promise.all([
      redis.hget(place.keys.stats, 'settled'),
      redis.xlen(place.stream),
      redis.xinfo('GROUPS', place.stream),
      redis.time(),
    ])
    const fields = (groups as unknown[][]).find((row) => row[1] === group) ?? []
    const unread = Number(fields[fields.indexOf('lag') + 1])
    const pending = Number(fields[fields.indexOf('pending') + 1])
    return { settled: Number(stats), kept: length - unread - pending, at: Number(time[0]) * 1_000 + Number(time[1]) / 1_000 }
  }
  const samples: { settled: number; kept: number; at: number }[] = []
  await eventually(
    async () => {
      const now = await settledBefore()
      samples.push(now)
      // A second between rounds, and one for a busy machine.
      const old = samples.findLast(({ at }) => at <= now.at - settledForMs - 2_000)
      if (old !== undefined) worst = Math.max(worst, now.kept - (now.settled - old.settled))
      await sleep(100)
      return now.settled >= 20_000
    },
    { timeoutMs: 120_000 },
  )
  t.diagnostic(`${samples.length} looks; at most ${worst} entries above the window`)
  assert.ok(worst <= remnant, `${worst} settled entries stayed longer than the window and a second`)
  await eventually(async () => (await redis.xlen(place.stream)) <= remnant, { timeoutMs: 20_000 })
  await consumer.stop()
})

test('maxEntries is a hard bound within two seconds, read or not', async (t) => {
  const server = await startRedis(t)
  const { start, redis, place } = openPipeline(t, server, {
    source: { stream: 'bounded', retention: { maxEntries: 1_000, settledFor: '1h' } },
    sink: { queue: 'bounded', maxWaiting: 100 },
  })
  const consumer = await start('pod-0')
  for (let round = 0; round < 4; round++) {
    await redis.eval(
      "for i = 1, 20000 do redis.call('XADD', KEYS[1], '*', 'job_id', 'r' .. ARGV[1] .. i) end",
      1,
      place.stream,
      round,
    )
    const begun = performance.now()
    await eventually(async () => (await redis.xlen(place.stream)) <= 1_000 + remnant)
    const took = performance.now() - begun
    t.diagnostic(`bounded after ${Math.round(took)} ms`)
    assert.ok(took < 2_000, `over the bound for ${took} ms`)
  }
  await consumer.stop()
})
