/**
 * Workers of another BullMQ on the jobs that the composed scripts add: STREAMPIPELINE_OTHER_BULLMQ names folders in which one is
 * installed (`npm install bullmq@5`), separated by colons.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import type * as Bull from 'bullmq'
import { openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const folders = (process.env['STREAMPIPELINE_OTHER_BULLMQ'] ?? '').split(':').filter((folder) => folder !== '')
if (folders.length === 0) {
  test('workers of another BullMQ', { skip: 'STREAMPIPELINE_OTHER_BULLMQ names none' }, () => undefined)
}

const kinds = {
  plain: {},
  delayed: { delay: '300ms' },
  prioritised: { priority: 3 },
  failing: { attempts: 2, backoff: { type: 'Fixed', delay: '100ms' } },
} as const

for (const folder of folders) {
  const { Worker, version }: typeof Bull & { version?: string } = createRequire(join(folder, 'package.json'))('bullmq')
  for (const [kind, jobOptions] of Object.entries(kinds)) {
    test(`${folder} ${version ?? ''}: ${kind} jobs`, async (t) => {
      const server = await startRedis(t)
      const { add, start, dead, redis, queueKey } = openPipeline(t, server, {
        source: { stream: '{theirs}:jobs' },
        sink: { queue: 'theirs', jobOptions: { ...jobOptions, removeOnComplete: { count: 0 } } },
      })
      const executed: string[] = []
      const worker = new Worker(
        'theirs',
        async ({ data }) => {
          executed.push(String(data.job_id))
          if (kind === 'failing') throw new Error('not today')
        },
        { connection: { host: server.host, port: server.port, maxRetriesPerRequest: null }, concurrency: 10 },
      )
      worker.on('error', () => undefined)
      t.after(() => worker.close())
      const consumer = await start('pod-0')
      await add(50)
      const times = kind === 'failing' ? 2 : 1
      await eventually(() => executed.length === 50 * times, { timeoutMs: 15_000 })
      assert.equal(new Set(executed).size, 50)
      // A job that failed for good is swept within a round of maintenance.
      if (kind === 'failing') await eventually(async () => (await dead()).length === 50, { timeoutMs: 30_000 })
      await eventually(async () => (await redis.keys(`${queueKey}:e-*`)).length === 0, { timeoutMs: 5_000 })
      await worker.close()
      assert.equal((await consumer.stop()).code, 0)
    })
  }
}
