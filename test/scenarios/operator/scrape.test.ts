/** A scrape of a thousand pipelines: what it holds, and for how long it holds the loop. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../../operator/metrics/metrics.ts'
import { statusOf } from '../../../operator/status/status.ts'
import { listen } from '../../../process/httpserver.ts'
import { nowMs, observed, pipelineObject, read, seen } from '../../operator/builder.ts'

const most = 1_000
const longestMs = 20

/** The most CPU time of this thread between two turns of the loop while `work` is under way: other processes do not count. */
async function longestHold(work: () => Promise<unknown>): Promise<number> {
  const spentMs = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  }
  let [last, longest, done] = [spentMs(), 0, false]
  const turn = () => {
    const now = spentMs()
    longest = Math.max(longest, now - last)
    last = now
    if (!done) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  done = true
  return longest
}

test(`a scrape of ${most} pipelines holds the loop for at most ${longestMs} ms`, async (t) => {
  const metrics = createMetrics()
  const object = pipelineObject()
  const observation = seen(object, { undelivered: 5 })
  const status = statusOf(observed(object), 1, nowMs)
  const { pipeline } = read(object)
  const readings = Array.from({ length: most }, (_, index) => ({
    key: `farm/ndvi-${index}`,
    pipeline,
    observation,
    acknowledged: 0,
    status,
  }))
  for (const { key } of readings) metrics.looked(key, observation, 1)
  metrics.read(() => readings)
  const server = await listen(
    '--metrics',
    { host: '127.0.0.1', port: 0 },
    {
      '/metrics': async () => ({ code: 200, type: metrics.contentType, body: await metrics.scrape() }),
    },
  )
  t.after(async () => {
    await server.close()
    metrics.close()
  })
  const scrape = async () => await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
  const text = await scrape()
  assert.equal(text.match(/^streampipeline_target_age_seconds\{/gm)?.length, most)
  const holds: number[] = []
  for (let round = 0; round < 10; round++) holds.push(await longestHold(() => metrics.scrape()))
  t.diagnostic(
    `${(text.length / 2 ** 20).toFixed(1)} MiB, the loop is held for ${holds.map((hold) => hold.toFixed(1)).join(', ')} ms`,
  )
  const median = holds.toSorted((a, b) => a - b)[4] ?? Number.NaN
  assert.ok(median <= longestMs, `${median} ms`)
})

test('metrics of one pipeline have one set of labels, and show what its spec promises', async () => {
  const metrics = createMetrics()
  const object = pipelineObject({
    suspend: true,
    mode: 'Direct',
    sink: { bullmq: { queue: 'a"b' } },
    scaling: { targetAge: '45s', minReplicas: 2, maxReplicas: 7 },
  })
  const { pipeline } = read(object)
  const observation = seen(object, { lost: 12, entriesAdded: 99 })
  metrics.read(() => [{ key: 'farm/ndvi', pipeline, observation, acknowledged: 10, status: undefined }])
  const lines = (await metrics.scrape()).split('\n')
  const labels = 'namespace="farm",pipeline="ndvi"'
  for (const line of [
    `streampipeline_target_age_seconds{${labels}} 45`,
    `streampipeline_min_replicas{${labels}} 2`,
    `streampipeline_max_replicas{${labels}} 7`,
    `streampipeline_suspended{${labels}} 1`,
    `streampipeline_mode{${labels},mode="Direct"} 1`,
    `streampipeline_mode{${labels},mode="Stream"} 0`,
    `streampipeline_info{${labels},stream="ndvi:jobs",group="ndvi",queue="a\\"b",policy="Active"} 1`,
    `redis_stream_added_entries{${labels}} 99`,
    `redis_stream_unacknowledged_lost_entries{${labels}} 2`,
    `streampipeline_forward_path{${labels},path="Atomic"} 0`,
  ])
    assert.ok(lines.includes(line), line)
  metrics.close()
})
