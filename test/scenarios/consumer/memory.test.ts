/** Consumers with large payloads keep to the memory that `validate` states, under the flags of their image. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { memoryNeed } from '../../../api/memory.ts'
import { mallocSettings, v8Flags } from '../../../build/v8flags.ts'
import { openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const mebi = 2 ** 20

/** A document of so many bytes whose many small members make it several times as large when it is decoded. */
function documentOf(index: number, bytes: number): string {
  const member = { a: 1.5, b: 'text' }
  const count = Math.floor((bytes - 100) / (JSON.stringify(member).length + 1))
  return JSON.stringify({ index, list: Array.from({ length: count }, () => member) })
}

const sizes = [
  { size: 256 * 1024, entries: 80 },
  { size: mebi, entries: 40 },
]
for (const { size, entries } of sizes) {
  test(`${entries} payloads of ${size / 1024} KiB: all forwarded, peak memory as stated`, async (t) => {
    const server = await startRedis(t)
    const { redis, start, pipeline, place, dead, waiting } = openPipeline(t, server, {
      source: { stream: '{large}:jobs' },
      payload: { encoding: 'Json', field: 'payload', maxBytes: String(size) },
      // No other consumer takes over a batch that is slow because other tests run beside.
      reclaim: { minIdle: '60s' },
    })
    for (let index = 0; index < entries; index++) await redis.xadd(place.stream, '*', 'payload', documentOf(index, size))
    const need = memoryNeed(pipeline)
    const options = v8Flags.consumer.replace(/(?<=--max-old-space-size=)\d+/, String(need.heapBytes / mebi))
    const consumer = await start('pod-0', { env: { NODE_OPTIONS: options, ...mallocSettings.consumer } })
    await eventually(
      async () => {
        assert.ok(consumer.running(), consumer.stderr())
        return (await waiting()) === entries
      },
      { timeoutMs: 60_000 },
    )
    assert.deepEqual(await dead(), [])
    const peak = Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${consumer.pid}/status`, 'utf8'))?.[1]) * 1024
    t.diagnostic(`peak ${Math.round(peak / mebi)} MiB of ${need.totalBytes / mebi} MiB stated`)
    assert.ok(peak <= need.totalBytes, `peak ${Math.round(peak / mebi)} MiB, stated ${need.totalBytes / mebi} MiB`)
    assert.equal((await consumer.stop()).code, 0)
  })
}
