/** Entries and late entries, counted by the age that the pipeline promises, which may change while the consumer runs. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { stringify } from 'yaml'
import { createConsumerMetrics } from '../../../consumer/metrics.ts'
import { quickstart } from '../../operator/cluster.ts'
import { freePort } from '../../support/port.ts'
import { startCli } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

test('an entry is late when it is settled later than the promised age after it was added', async (t) => {
  const server = await startRedis(t)
  const redis = new Redis(server.port)
  t.after(() => redis.disconnect())
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-late-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  const resource = await quickstart('ndvi', 'default', {
    redis: { url: `redis://127.0.0.1:${server.port}/0` },
    scaling: { targetAge: '10m' },
  })
  const config = join(folder, 'pipeline.yaml')
  await writeFile(config, stringify(resource))
  await writeFile(join(folder, 'promise.json'), JSON.stringify({ targetAgeMs: 60_000 }))
  const now = Date.now()
  const ages = [0, 1_000, 10_000, 70_000, 120_000]
  for (const [index, age] of ages.toReversed().entries()) {
    const fields = { job_id: index, request_hash: `h${index}`, farm_id: 1, engine: 'unknown', job_type: 'ndvi_current' }
    await redis.xadd('ndvi:jobs', `${now - age}-0`, ...Object.entries(fields).flat().map(String))
  }
  const port = await freePort()
  await startCli(t, ['consume', '--config', config, '--name', 'one', '--listen', `127.0.0.1:${port}`])
  const value = async (name: string) => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(new RegExp(`^${name}\\{namespace="default",pipeline="ndvi"\\} (\\d+)`, 'm').exec(text)?.[1])
  }
  await eventually(async () => assert.equal(await value('stream_consumer_entries_total'), ages.length), { timeoutMs: 60_000 })
  assert.equal(await value('stream_consumer_late_entries_total'), 2)
})

test('the promised age is asked for each batch, and ids that are no times count as neither', async () => {
  let targetAgeMs = 1_000
  const { registry, observer } = createConsumerMetrics({ namespace: 'farm', name: 'ndvi' }, () => targetAgeMs)
  const settle = (...settled: string[]) =>
    observer.batchSettled?.({
      entries: settled.length,
      outcomes: { forwarded: settled.length, duplicate: 0, dead: 0, gone: 0 },
      dead: [],
      settled,
      durationMs: 1,
    })
  const counted = async () => {
    const values = await Promise.all(
      ['stream_consumer_entries_total', 'stream_consumer_late_entries_total'].map(
        async (name) => (await registry.getSingleMetric(name)?.get())?.values[0]?.value,
      ),
    )
    return values.join(' of ')
  }
  const old = `${Date.now() - 30_000}-0`
  settle('1-0', '99999999999999999-0', old)
  assert.equal(await counted(), '1 of 1')
  targetAgeMs = 60_000
  settle(old)
  assert.equal(await counted(), '2 of 1')
  registry.clear()
})
