/** A process with BullMQ 5 pauses and resumes the queue while entries are forwarded: no acknowledged work may fall out of it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import type { PathKind } from '../../../redis/settle/path.ts'
import { kindsOf, openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { pauseAsBullmq5, resumeAsBullmq5 } from '../../support/bullmq5.ts'
import { startRedis } from '../../support/redis.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

const keys = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `k${from + i}`)
const early = keys(0, 10)
const late = keys(10, 25)

/** A path may hold back entries while the queue is paused so. They then stay pending. */
const heldBack = () => {}

/** Ten entries are forwarded before the pause, fifteen arrive during it. `ids` are those of the entries, by key. */
async function pauseInBetween(t: TestContext, kind: PathKind) {
  const path = await openPath(t, kind, servers)
  const ids = new Map<string, string>()
  const put = async (wanted: readonly string[]) => {
    const added = await path.putKeys(...wanted)
    for (const [index, key] of wanted.entries()) ids.set(key, added[index] ?? '')
    return await path.read()
  }
  await path.settle(await put(early))
  await pauseAsBullmq5(path.queueClient, path.queueKey)
  const held = await put(late)
  await path.settle(held).catch(heldBack)
  const pending = new Set((await path.pending()).map(({ id }) => id))
  const acknowledged = [...early, ...late].filter((key) => !pending.has(ids.get(key) ?? ''))
  await resumeAsBullmq5(path.queueClient, path.queueKey)
  return { path, put, acknowledged, rest: held.filter(({ id }) => pending.has(id)) }
}

for (const kind of pathKinds) describe(`${kind}:`, () => suite(kind))

function suite(kind: PathKind) {
  test('every acknowledged job is in a list after BullMQ 5 resumed the queue, and the rest follows', async (t) => {
    const { path, acknowledged, rest } = await pauseInBetween(t, kind)
    const live = new Set(await path.live())
    assert.deepEqual(
      acknowledged.filter((key) => !live.has(path.id(key))),
      [],
      'acknowledged, and in no list',
    )
    await path.settle(rest)
    assert.deepEqual((await path.live()).toSorted(), [...early, ...late].map(path.id).toSorted())
  })

  test('entries sent again after such a pause make one job each, and none twice', async (t) => {
    const { path, put, rest } = await pauseInBetween(t, kind)
    await path.settle(rest)
    await path.settle(await put([...early, ...late]))
    assert.deepEqual(
      (await path.live()).toSorted(),
      [...early, ...late].map(path.id).toSorted(),
      'a mark outlives a job that is in no list',
    )
  })

  test('during such a pause an entry stays pending as QueueHeld, and a duplicate is settled', async (t) => {
    const path = await openPath(t, kind, servers)
    await path.putKeys('known')
    await path.settle(await path.read())
    await pauseAsBullmq5(path.queueClient, path.queueKey)
    const [, fresh] = await path.putKeys('known', 'new')
    const entries = await path.read()
    const { outcomes, failure } = await path.settleWith(entries.map(path.judge))
    assert.deepEqual([kindsOf(outcomes), failure?.code], [['duplicate', 'unsettled'], 'QueueHeld'])
    assert.deepEqual(
      (await path.pending()).map(({ id }) => id),
      [fresh],
    )
  })

  /** The limit that docs/guarantees.md states. */
  test('an empty queue paused so, whose meta names no version, is not recognised: what is added then is in no list in the end', async (t) => {
    const path = await openPath(t, kind, servers)
    await pauseAsBullmq5(path.queueClient, path.queueKey)
    await path.putKeys('early')
    assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded'])
    // BullMQ 5 itself adds to the list `paused`.
    await path.queueClient.lpush(`${path.queueKey}paused`, 'theirs')
    await path.putKeys('late')
    await assert.rejects(path.settle(await path.read()), { code: 'QueueHeld' })
    await resumeAsBullmq5(path.queueClient, path.queueKey)
    assert.deepEqual(await path.live(), ['theirs'])
  })
}
