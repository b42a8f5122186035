import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { streamPlace } from '../../redis/placement.ts'
import { parseIdentity } from '../../redis/stream/identity.ts'
import { listPending } from '../../redis/stream/pending.ts'
import { pipelineWith, resourceWith } from '../redis/resource.ts'
import { startCli } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { shortest } from '../support/shortest.ts'
import { eventually } from '../support/wait.ts'

/** Processes start in between. */
const patience = { timeoutMs: 30_000 }

test('the entry of a killed consumer is forwarded within two seconds, though reclaim.minIdle is a minute', async (t) => {
  const server = await startRedis(t)
  const redis = server.client()
  const spec = {
    url: server.url,
    source: { block: '30s' },
    reclaim: { minIdle: '60s', interval: '1h' },
    scaling: { minReplicas: 2, maxReplicas: 2 },
  }
  const place = streamPlace(pipelineWith(spec))
  const { stream, keys } = place
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-local-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'pipeline.json')
  await writeFile(file, JSON.stringify(resourceWith(spec)))

  const up = await startCli(t, ['up', '-f', file, '-o', 'json'])
  await eventually(async () => (await redis.hlen(keys.consumers)) === 2, patience)
  const first = (await redis.hkeys(keys.consumers)).find((name) => name.startsWith('ndvi-1-')) ?? ''
  const before = await redis.hget(keys.consumers, first)
  assert.match(parseIdentity(before ?? '')?.owner ?? '', /^local-.+-\d+-\d+$/)
  const blocked = async () => String(await redis.client('LIST')).match(/cmd=xreadgroup/g)?.length ?? 0
  const heldByIt = async () => (await listPending(redis, place, { start: '-', count: 10, consumer: first })).length
  const jobs = async () => await redis.llen('bull:ndvi:wait')
  let added = 0

  /** @returns milliseconds from the end of the consumer to the job of its entry */
  async function killed(): Promise<number> {
    const life = await redis.hget(keys.consumers, first)
    await eventually(async () => (await blocked()) === 2, patience)
    const pid = Number([...up.stderr().matchAll(/consumer ndvi-1 started \(pid (\d+)\)/g)].at(-1)?.[1])
    // Stopped while it blocks, it still gets the entry that it asked for.
    process.kill(pid, 'SIGSTOP')
    const least = added
    while ((await heldByIt()) === 0) {
      await redis.xadd(stream, '*', 'job_id', String(added++))
      assert.ok(added < least + 10, 'it is given none of them')
    }
    await eventually(async () => (await jobs()) === added - 1, patience)

    process.kill(pid, 'SIGKILL')
    const killedAt = performance.now()
    await eventually(async () => (await jobs()) === added, patience)
    const tookMs = performance.now() - killedAt
    await eventually(async () => {
      const now = await redis.hget(keys.consumers, first)
      assert.ok(now !== null && now !== life)
    }, patience)
    return tookMs
  }

  const tookMs = await shortest(2_000, killed)
  assert.ok(tookMs < 2_000, `took ${tookMs} ms`)
  t.diagnostic(`${tookMs} ms`)
  await up.output(/consumer ndvi-1-\w+ left entries unsettled \(1\)/)
  assert.equal((await up.stop('SIGTERM', 30_000)).code, 0, up.stderr())
  assert.deepEqual(await redis.hkeys(keys.consumers), [])
  assert.deepEqual(await redis.xinfo('CONSUMERS', stream, place.group), [])
})
