/**
 * The windows between read and acknowledgement: servers that go back to older data, and holders that go on after a long stop.
 * docs/guarantees.md states the promise of each path.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'bullmq'
import type { PathKind } from '../../../redis/settle/path.ts'
import { auditLedger } from '../../../redis/stream/ledger.ts'
import { claimEntries } from '../../../redis/stream/pending.ts'
import { assertOnce, type ConsumerProcess, openPipeline } from '../../consumer/fixture.ts'
import { kindsOf, type OpenPath, openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { openRights } from '../../support/rights.ts'
import { eventually } from '../../support/wait.ts'

const startServers = async (t: TestContext): Promise<Servers> => {
  const [stream, queue] = await Promise.all([startRedis(t), startRedis(t)])
  return { stream, queue }
}

/** Goes back to the last save, as after a crash that lost later writes, or a failover to a lagging replica. */
async function rollBack({ stream, queue }: Servers, which: 'stream' | 'queue' | 'both', { connections }: OpenPath) {
  for (const server of which === 'both' ? [stream, queue] : [which === 'stream' ? stream : queue]) await server.restart('SIGKILL')
  // A connection attempt that began before the server was back may fail only now. The commands that wait for it then fail, too.
  for (const connection of [connections.stream, connections.queue]) await eventually(() => connection.ping())
}

const save = async ({ stream, queue }: Servers) => {
  for (const server of [stream, queue]) await server.client().save()
}

/** Executes and forgets, as workers with removeOnComplete do. */
async function execute(t: TestContext, path: OpenPath) {
  const seen: string[] = []
  const worker = new Worker(path.target.queue, async ({ data }) => void seen.push(String(data.k)), {
    connection: path.queueServer.client({ maxRetriesPerRequest: null }),
    prefix: path.target.prefix,
  })
  worker.on('error', () => undefined)
  t.after(() => worker.close())
  await worker.waitUntilReady()
  return seen
}

for (const kind of pathKinds) {
  test(`${kind}: all rolled back to before the settlement: settled again, one job`, async (t) => {
    const servers = await startServers(t)
    const path = await openPath(t, kind, servers)
    const { putKeys, read, settle, live, pending, stream, place } = path
    await putKeys('a', 'b')
    const entries = await read()
    await save(servers)
    assert.deepEqual(kindsOf(await settle(entries)), ['forwarded', 'forwarded'])
    await rollBack(servers, 'both', path)
    assert.equal((await pending()).length, 2)
    assert.deepEqual(kindsOf(await settle(entries)), ['forwarded', 'forwarded'])
    assert.deepEqual([(await live()).length, await pending()], [2, []])
    assert.equal(await stream.hget(place.keys.stats, 'settled'), '2')
  })

  test(`${kind}: rolled back to before the read: the outcome “gone” does not count as settled, and the entries come again`, async (t) => {
    const servers = await startServers(t)
    const path = await openPath(t, kind, servers)
    const { putKeys, read, settle, live, pending, stream, place } = path
    await putKeys('a', 'b')
    await save(servers)
    const held = await read()
    await rollBack(servers, 'both', path)
    assert.deepEqual(kindsOf(await settle(held)), ['gone', 'gone'])
    assert.deepEqual(await live(), [])
    assert.equal(await stream.hget(place.keys.stats, 'settled'), null)
    assert.deepEqual(kindsOf(await settle(await read())), ['forwarded', 'forwarded'])
    assert.deepEqual([(await live()).length, await pending()], [2, []])
  })

  test(`${kind}: a stale holder, everything that expires expired, the job executed and forgotten: gone`, async (t) => {
    const servers = await startServers(t)
    const path = await openPath(t, kind, servers)
    const seen = await execute(t, path)
    const [id = ''] = await path.putKeys('a')
    const stale = await path.read('zombie')
    const { claimed } = await claimEntries(path.connections.stream, path.place, 'living', 0, [id])
    const second = await path.openSettlePath()
    assert.deepEqual(kindsOf(await path.settle(claimed, second.path)), ['forwarded'])
    await eventually(() => seen.length === 1)
    await eventually(async () => (await path.queueClient.exists(path.jobKey('a'))) === 0)
    await path.queueClient.del(path.mark('a'))
    assert.deepEqual(kindsOf(await path.settle(stale)), ['gone'])
    assert.deepEqual(await path.live(), [])
    assert.deepEqual(seen, ['a'])
  })
}

test('Split: only the stream rolled back: duplicate, no second execution', async (t) => {
  const servers = await startServers(t)
  const path = await openPath(t, 'Split', servers)
  const seen = await execute(t, path)
  await path.putKeys('a', 'b')
  const entries = await path.read()
  await save(servers)
  await path.settle(entries)
  await eventually(() => seen.length === 2)
  // `seen` has a job when it begins: wait until the jobs have also ended.
  await eventually(async () => (await path.live()).length === 0)
  await rollBack(servers, 'stream', path)
  assert.deepEqual(kindsOf(await path.settle(entries)), ['duplicate', 'duplicate'])
  assert.deepEqual([await path.live(), await path.pending()], [[], []])
  assert.equal(seen.length, 2)
})

/** The docs state this window: only the queue's own persistence, or replicas, could close it. */
test('Split: only the queue rolled back, after the acknowledgement: the jobs are lost, and nothing says so', async (t) => {
  const servers = await startServers(t)
  const path = await openPath(t, 'Split', servers)
  await path.putKeys('a')
  const entries = await path.read()
  await save(servers)
  await path.settle(entries)
  await rollBack(servers, 'queue', path)
  assert.deepEqual(kindsOf(await path.settle(entries)), ['gone'])
  assert.deepEqual(await path.live(), [])
})

for (const kind of ['Split', 'Portable'] as const) {
  test(`${kind}: added, and not acknowledged before the mark has run out: added again`, async (t) => {
    const servers = await startServers(t)
    const path = await openPath(t, kind, servers)
    const rights = await openRights(servers.stream, servers.queue)
    const seen = await execute(t, path)
    await path.putKeys('a')
    const entries = await path.read()
    await rights.without(['xack'], () => assert.rejects(path.settle(entries)))
    await eventually(() => seen.length === 1)
    await eventually(async () => (await path.queueClient.exists(path.jobKey('a'))) === 0)
    assert.equal(await path.queueClient.exists(path.mark('a')), 1)
    await path.queueClient.del(path.mark('a'))
    assert.deepEqual(kindsOf(await path.settle(entries)), ['forwarded'])
    await eventually(() => seen.length === 2)
  })
}

/** An entry that Redis takes back before a read leaves no trace to count. */
test('an entry that a failover took back never happened: nothing counts it', async (t) => {
  const servers = await startServers(t)
  const path = await openPath(t, 'Atomic', servers)
  await path.putKeys('kept')
  assert.equal(await auditLedger(path.stream, path.place), 0)
  await save(servers)
  await path.putKeys('taken back')
  await rollBack(servers, 'both', path)
  const entries = await eventually(() => path.read())
  assert.deepEqual(kindsOf(await path.settle(entries)), ['forwarded'])
  assert.deepEqual([await path.live(), await auditLedger(path.stream, path.place)], [[path.id('kept')], 0])
})

const zombie = async (t: TestContext, servers: Servers, kind: PathKind) => {
  const elsewhere = kind === 'Split' ? { redis: { url: servers.queue.url } } : {}
  const name = `z-${kind.toLowerCase()}`
  const fixture = openPipeline(t, servers.stream, {
    source: { stream: `{${name}}:jobs`, batchSize: 20 },
    // On a busy machine other processes than the victims stand still, too. Their number does not matter here.
    delivery: { maxDeliveries: 100 },
    sink: { queue: name, jobOptions: { removeOnComplete: { count: 0 } }, ...elsewhere },
  })
  const queueServer = kind === 'Split' ? servers.queue : servers.stream
  const executed: string[] = []
  const worker = new Worker(name, async ({ data }) => void executed.push(String(data.job_id)), {
    connection: queueServer.client({ maxRetriesPerRequest: null }),
    concurrency: 50,
  })
  worker.on('error', () => undefined)
  t.after(() => worker.close())
  const env = kind === 'Portable' ? { NODE_OPTIONS: '--import ./test/paths/altered.ts' } : {}
  const consumers: ConsumerProcess[] = await Promise.all(['pod-0', 'pod-1'].map((pod) => fixture.start(pod, { env })))
  let added = 0
  let loading = true
  const load = (async () => {
    while (loading) {
      await fixture.add(100, added)
      added += 100
      await sleep(20)
    }
  })()
  // Stopped past lock, minIdle and reclaim: the other takes over its entries. Then it is woken and goes on.
  for (let round = 0; round < 2; round++) {
    const victim = consumers[round % 2]
    await sleep(200 + 37 * round)
    victim?.signal('SIGSTOP')
    await eventually(async () => (await fixture.pending()).every(({ consumer }) => consumer !== victim?.name), {
      timeoutMs: 8_000,
    }).catch(() => undefined)
    await sleep(1_200)
    victim?.signal('SIGCONT')
  }
  loading = false
  await load
  await eventually(async () => (await fixture.pending()).length === 0 && executed.length >= added, { timeoutMs: 120_000 })
  assertOnce(executed, added)
  assert.deepEqual(await fixture.dead(), [])
}

test('consumers stopped past lock and minIdle, then woken, under load: each entry executed once, on each path', async (t) => {
  const servers = await startServers(t)
  await Promise.all(pathKinds.map((kind) => zombie(t, servers, kind)))
})
