/** The work of the sweep: little per round, and in the end everything, whatever clocks and restarts do. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createDeadLetters } from '../../../redis/deadletters/replay.ts'
import { sweeperOf } from '../../paths/failing.ts'
import { type OpenPath, openPath, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const stream = await startRedis(scope)
  servers = { stream, queue: stream }
})

const jobOptions = { attempts: 1, removeOnFail: false }

/** Fails the jobs of these keys as a worker whose clock shows `finishedOn`. */
async function failAt({ queueClient, queueKey, id }: OpenPath, finishedOn: number, ...keys: string[]) {
  const batch = queueClient.pipeline()
  for (const key of keys) {
    batch.lrem(`${queueKey}wait`, 0, id(key))
    batch.hset(queueKey + id(key), { finishedOn: String(finishedOn), failedReason: 'not today', atm: '1' })
    batch.zadd(`${queueKey}failed`, finishedOn, id(key))
  }
  await batch.exec()
}

async function forwarded(path: OpenPath, ...keys: string[]) {
  await path.putKeys(...keys)
  await path.settle(await path.read())
}

/** Foreign jobs that failed at these times. */
async function strangers({ queueClient, queueKey }: OpenPath, times: readonly number[]) {
  for (let at = 0; at < times.length; at += 5_000) {
    const members = times.slice(at, at + 5_000).flatMap((time, index) => [time, `theirs-${at + index}`])
    await queueClient.zadd(`${queueKey}failed`, ...members)
  }
}

/** Runs one round; how many failed jobs Redis handed out for it. */
async function counted(path: OpenPath, round: () => Promise<unknown>) {
  const { queueClient } = path
  await queueClient.config('RESETSTAT')
  const result = await round()
  const stats = await queueClient.info('commandstats')
  const calls = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  return { result, pages: calls('zrange') + calls('zscan'), looks: calls('hmget') }
}

const hour = 3_600_000

test('twenty thousand failed jobs, kept: once worked through, a round asks twice, and finds what has failed since', async (t) => {
  const path = await openPath(t, 'Portable', servers, { jobOptions })
  const now = Date.now()
  await strangers(
    path,
    Array.from({ length: 20_000 }, (_, i) => now - 48 * hour + i),
  )
  const keys = Array.from({ length: 50 }, (_, i) => `kept-${i}`)
  await forwarded(path, ...keys)
  await failAt(path, now - 24 * hour, ...keys)
  const sweeper = sweeperOf(path)
  let kept = 0
  for (let round = 0; round < 6; round++) kept += (await sweeper.sweep()).kept
  assert.equal(kept, 50)
  await forwarded(path, 'new')
  await failAt(path, Date.now(), 'new')
  const { result, pages, looks } = await counted(path, () => sweeper.sweep())
  assert.deepEqual(result, { removed: 0, kept: 1 })
  assert.ok(pages <= 2 && looks <= 60, `${pages} pages, ${looks} looks`)
  // Another process, or this one started again, goes on from there.
  await forwarded(path, 'later')
  await failAt(path, Date.now(), 'later')
  const restarted = await counted(path, () => sweeperOf(path).sweep())
  assert.deepEqual(restarted.result, { removed: 0, kept: 1 })
  assert.ok(restarted.pages <= 2, `${restarted.pages} pages after a restart`)
})

test('a round is bounded: a set that was never swept is worked through in several', async (t) => {
  const path = await openPath(t, 'Atomic', servers, { jobOptions })
  const now = Date.now()
  await strangers(
    path,
    Array.from({ length: 12_000 }, (_, i) => now - hour + i),
  )
  await forwarded(path, 'last')
  await failAt(path, now, 'last')
  const sweeper = sweeperOf(path)
  let removed = 0
  for (let round = 0; round < 3; round++) {
    const { result, pages } = await counted(path, () => sweeper.sweep())
    removed += (result as { removed: number }).removed
    assert.ok(pages <= 11, `${pages} pages`)
  }
  assert.equal(removed, 1)
})

test('thousands that failed in the same millisecond: none of ours is left out', async (t) => {
  const path = await openPath(t, 'Atomic', servers, { jobOptions })
  const now = Date.now()
  await strangers(
    path,
    Array.from({ length: 1_800 }, () => now),
  )
  const keys = Array.from({ length: 700 }, (_, i) => `tie-${i}`)
  await forwarded(path, ...keys)
  await failAt(path, now, ...keys)
  const sweeper = sweeperOf(path)
  let removed = 0
  for (let round = 0; round < 3; round++) removed += (await sweeper.sweep()).removed
  assert.equal(removed, 700)
  assert.equal((await path.dead()).length, 700)
})

test('the watermark’s own millisecond is looked at again', async (t) => {
  const path = await openPath(t, 'Atomic', servers, { jobOptions })
  const sweeper = sweeperOf(path)
  const now = Date.now()
  await forwarded(path, 'one', 'two')
  await failAt(path, now, 'one')
  assert.equal((await sweeper.sweep()).removed, 1)
  await failAt(path, now, 'two')
  assert.equal((await sweeper.sweep()).removed, 1)
})

test('worker clocks: one ahead hides no job, one behind is found late, but found', async (t) => {
  const path = await openPath(t, 'Atomic', servers, { jobOptions })
  const sweeper = sweeperOf(path)
  const now = Date.now()
  await strangers(
    path,
    Array.from({ length: 3_000 }, (_, i) => now - 10 * hour + i),
  )
  await forwarded(path, 'ahead', 'right', 'behind', 'far behind')
  await failAt(path, now + 24 * hour, 'ahead')
  assert.equal((await sweeper.sweep()).removed, 1)
  await failAt(path, now, 'right')
  assert.equal((await sweeper.sweep()).removed, 1, 'at once, though another clock is a day ahead')
  await failAt(path, Date.now() - 30_000, 'behind')
  assert.equal((await sweeper.sweep()).removed, 1, 'half a minute behind: at once')
  await failAt(path, now - 9 * hour, 'far behind')
  let removed = 0
  for (let round = 0; round < 20 && removed === 0; round++) removed += (await sweeper.sweep()).removed
  assert.equal(removed, 1, 'hours behind: by the rounds over the whole set')
})

test('replayed and failed again: a second record, which says so', async (t) => {
  const path = await openPath(t, 'Atomic', servers, { jobOptions })
  const sweeper = sweeperOf(path)
  await forwarded(path, 'again')
  await failAt(path, Date.now(), 'again')
  assert.equal((await sweeper.sweep()).removed, 1)
  const letters = createDeadLetters(path.connections)
  const [first] = await path.dead()
  assert.ok(first)
  assert.equal((await letters.replay(first)).kind, 'replayed')
  await path.settle(await path.read())
  await failAt(path, Date.now(), 'again')
  assert.equal((await sweeperOf(path).sweep()).removed, 1)
  assert.deepEqual(
    (await path.dead()).map(({ redrives, reason }) => [redrives, reason]),
    [[1, 'JobFailed']],
  )
})

test('a round that fails moves nothing: what it did not reach comes again', async (t) => {
  const path = await openPath(t, 'Atomic', servers, { jobOptions })
  await forwarded(path, 'a', 'b')
  await failAt(path, Date.now(), 'a', 'b')
  await path.stream.set(path.place.deadLetters, 'text')
  await assert.rejects(sweeperOf(path).sweep())
  assert.equal(await path.stream.hget(path.place.keys.stats, 'sweptTo'), null)
  await path.stream.del(path.place.deadLetters)
  assert.equal((await sweeperOf(path).sweep()).removed, 2)
})

test('an error of the stream’s server, and one of the queue’s, is reported under its own address', async (t) => {
  const [stream, queue] = [await startRedis(t), await startRedis(t)]
  const path = await openPath(t, 'Split', { stream, queue })
  const sweeper = sweeperOf(path)
  await sweeper.sweep()
  await stream.stop()
  await assert.rejects(sweeper.sweep(), (thrown: Error) => thrown.message.includes(`127.0.0.1:${stream.port}`))
  await stream.start()
  await queue.stop()
  await eventually(() => assert.rejects(sweeper.sweep(), (thrown: Error) => thrown.message.includes(`127.0.0.1:${queue.port} `)))
  await queue.start()
})
