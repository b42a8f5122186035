/** Workers that keep their progress in the job's data, as BullMQ documents it: the request itself must outlive that. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import type { PathKind } from '../../../redis/settle/path.ts'
import { deadLettersOf, failAfter, sweeperOf } from '../../paths/failing.ts'
import { openPath, type PathChanges, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

/** In the order in which fields without a schema are written. */
const request = ['farm', '12', 'k', 'a'] as const
const changes: readonly (readonly [what: string, change: (data: object) => object])[] = [
  ['adds its step to the data', (data) => ({ ...data, step: 'second' })],
  ['replaces the data by its step', () => ({ step: 'second' })],
  ['changes a number', (data) => ({ ...data, farm: '13' })],
]

interface Changes extends PathChanges {
  /** The entry stays in the stream. */
  readonly kept?: boolean
}

/** A request whose job changes its data and fails when its entry has left the stream, as after `settledFor`. */
async function changeAndFail(t: TestContext, kind: PathKind, change: (data: object) => object, more: Changes = {}) {
  const { kept = false, ...rest } = more
  const path = await openPath(t, kind, servers, { jobOptions: { attempts: 1, removeOnFail: false }, ...rest })
  await path.put(...request)
  await path.settle(await path.read())
  if (!kept) await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
  await failAfter(t, path, 1, async (job) => await job.updateData(change(job.data)))
  await sweeperOf(path).sweep()
  const [letter] = await path.dead()
  assert.ok(letter)
  return { path, letter, letters: deadLettersOf(path) }
}

const requestCopy = { deadLetter: { requestCopy: true } }

for (const kind of pathKinds) describe(`${kind}:`, () => suite(kind))

function suite(kind: PathKind) {
  for (const [what, change] of changes) {
    test(`the dead letter of a job that ${what} holds the request as it came, where jobs keep a copy`, async (t) => {
      const { letter } = await changeAndFail(t, kind, change, requestCopy)
      assert.deepEqual(letter.payload.map(String), request)
      assert.equal(letter.altered, undefined)
    })

    test(`… and while its entry is in the stream (${what})`, async (t) => {
      const { letter } = await changeAndFail(t, kind, change, { kept: true })
      assert.deepEqual(letter.payload.map(String), request)
      assert.equal(letter.altered, undefined)
    })

    test(`without both, the record of a job that ${what} says so, and is replayed only when asked for`, async (t) => {
      const { path, letter, letters } = await changeAndFail(t, kind, change)
      assert.equal(letter.altered, true)
      assert.deepEqual(await letters.replay(letter), { kind: 'altered' })
      assert.deepEqual([await path.stream.xlen(path.place.stream), (await path.dead()).length], [0, 1])
      assert.equal((await letters.replay(letter, { altered: true })).kind, 'replayed')
      assert.deepEqual([await path.stream.xlen(path.place.stream), (await path.dead()).length], [1, 0])
    })
  }

  test('data that was written again unchanged is no altered request, nor is data that decoding writes in another form', async (t) => {
    const schema = { type: 'object', properties: { k: { type: 'string' }, farm: { type: 'number' } } }
    const path = await openPath(t, kind, servers, {
      jobOptions: { attempts: 1, removeOnFail: false },
      payload: { schema },
      key: null,
    })
    await path.put('k', 'a', 'farm', '12.0')
    await path.settle(await path.read())
    await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
    await failAfter(t, path, 1, async (job) => await job.updateData({ ...job.data }))
    await sweeperOf(path).sweep()
    const [letter] = await path.dead()
    assert.deepEqual([letter?.altered, letter?.payload.map(String)], [undefined, ['k', 'a', 'farm', '12']])
  })

  test('jobs of an earlier release have no checksum: a change is found by their key', async (t) => {
    const path = await openPath(t, kind, servers, { jobOptions: { attempts: 1, removeOnFail: false } })
    await path.putKeys('same', 'other')
    await path.settle(await path.read())
    await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
    for (const key of ['same', 'other']) {
      const opts = JSON.parse((await path.queueClient.hget(path.jobKey(key), 'opts')) ?? '{}') as { sp: { sum?: string } }
      assert.match(opts.sp.sum ?? '', /^[0-9a-f]{8}$/)
      delete opts.sp.sum
      await path.queueClient.hset(path.jobKey(key), 'opts', JSON.stringify(opts))
    }
    await failAfter(t, path, 2, async (job) => {
      if (job.data.k === 'other') await job.updateData({ k: 'another' })
    })
    await sweeperOf(path).sweep()
    const found = (await path.dead()).map(({ payload, altered }) => [String(payload[1]), altered])
    assert.deepEqual(found.toSorted(), [
      ['another', true],
      ['same', undefined],
    ])
  })

  test('the dead letter of a job with a step is accepted by a schema that has no place for steps', async (t) => {
    const schema = { type: 'object', properties: { k: {}, farm: { type: 'integer' } }, additionalProperties: false }
    const { path, letter } = await changeAndFail(t, kind, (data) => ({ ...data, step: 2 }), {
      payload: { schema },
      ...requestCopy,
    })
    const decoded = path.codec.decode(letter.payload)
    assert.deepEqual(decoded.kind === 'Valid' ? decoded.data : decoded.error, { k: 'a', farm: 12 })
  })

  test('replayed, and sent once more by its producer, it is one job, of the key of the request', async (t) => {
    const { path, letter, letters } = await changeAndFail(t, kind, (data) => ({ ...data, step: 2 }), {
      key: null,
      ...requestCopy,
    })
    assert.equal((await letters.replay(letter)).kind, 'replayed')
    await path.settle(await path.read())
    await path.put(...request)
    await path.settle(await path.read())
    const jobs = await Promise.all((await path.live()).map((id) => path.queueClient.hget(path.queueKey + id, 'data')))
    assert.deepEqual(jobs, ['{"farm":"12","k":"a"}'])
  })

  test('Direct dispatch keeps the copy as well', async (t) => {
    const path = await openPath(t, kind, servers, { jobOptions: { attempts: 1, removeOnFail: false }, ...requestCopy })
    const direct = await path.direct()
    await direct.forward('a')
    assert.equal(await path.queueClient.hget(path.jobKey('a'), 'spRequest'), '{"k":"a"}')
    await failAfter(t, path, 1, async (job) => await job.updateData({ step: 1 }))
    await sweeperOf(path).sweep()
    const [letter] = await path.dead()
    assert.deepEqual([letter?.payload.map(String), letter?.altered, letter?.originalId], [['k', 'a'], undefined, ''])
  })

  test('a changed copy is no request either', async (t) => {
    const path = await openPath(t, kind, servers, { jobOptions: { attempts: 1, removeOnFail: false }, ...requestCopy })
    await path.putKeys('a')
    await path.settle(await path.read())
    await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
    await path.queueClient.hset(path.jobKey('a'), 'spRequest', '{"k":"b"}')
    await failAfter(t, path, 1, async () => undefined)
    await sweeperOf(path).sweep()
    assert.equal((await path.dead())[0]?.altered, true)
  })

  test('the record carries the last stack trace, bounded, whole characters', async (t) => {
    const path = await openPath(t, kind, servers, { jobOptions: { attempts: 1, removeOnFail: false } })
    await path.putKeys('a', 'b')
    await path.settle(await path.read())
    await failAfter(t, path, 2, async (job) => {
      if (job.data.k === 'b') throw new Error(`x${'ä'.repeat(5_000)}`)
    })
    await sweeperOf(path).sweep()
    const byKey = new Map((await path.dead()).map((letter) => [String(letter.payload[1]), letter]))
    assert.match(byKey.get('a')?.stacktrace ?? '', /^Error: not today\n.*failing\.ts/s)
    const long = byKey.get('b')?.stacktrace ?? ''
    assert.match(long, /^Error: xä+$/)
    assert.ok(Buffer.byteLength(long) <= 4_096 && Buffer.byteLength(long) > 4_090)
    assert.match(byKey.get('b')?.error ?? '', /^xä+$/)
  })
}
