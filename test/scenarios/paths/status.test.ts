/** Where a request is, in each of its states, by entry and by key, on each path. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import { Worker } from 'bullmq'
import type { PathKind } from '../../../redis/settle/path.ts'
import { referencesOf } from '../../../redis/status/reference.ts'
import { type RequestRef, requestStatus } from '../../../redis/status/request.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { sweeperOf } from '../../paths/failing.ts'
import { type OpenPath, openPath, type PathChanges, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { holdReplies } from '../../support/heldreplies.ts'
import { monitorOf } from '../../support/monitor.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

/** A path, and the status of a request on it. */
async function open(t: TestContext, kind: PathKind, on: Servers = servers, changes: PathChanges = {}) {
  const path = await openPath(t, kind, on, {
    jobOptions: { attempts: 2, removeOnComplete: false, removeOnFail: false },
    payload: { schema: { type: 'object', required: ['k'], properties: { k: { type: 'string' }, n: { type: 'integer' } } } },
    ...changes,
  })
  const { stream, queue } = path.connections
  const parts = { stream, queue, place: path.place, target: path.target, codec: path.codec }
  const hash = (key: string) => path.id(key).slice(`e-${path.target.keys.scope}-`.length)
  const status = async (ref: RequestRef, scan = 0) => await requestStatus(parts, ref, scan)
  return { path, hash, status, byKey: async (key: string, scan = 0) => await status({ hash: hash(key) }, scan) }
}

async function forward(path: OpenPath) {
  await path.settle(await path.read())
}

/** Works until the test ends. */
function work(t: TestContext, path: OpenPath, run: (data: { k: string }) => Promise<unknown>) {
  const worker = new Worker(path.target.queue, async (job) => await run(job.data), {
    connection: path.queueServer.client({ maxRetriesPerRequest: null }),
    prefix: path.target.prefix,
  })
  worker.on('error', () => undefined)
  t.after(() => worker.close())
  return worker
}

for (const kind of pathKinds) describe(`${kind}:`, () => suite(kind))

function suite(kind: PathKind) {
  test('worn out: by key it is found dead where the stream is searched, though its record has no key', async (t) => {
    const { path, byKey } = await open(t, kind)
    const id = await path.put('k', 'worn')
    await path.read()
    const letter = { id, reason: 'MaxDeliveries', error: 'delivered 5 times', redrives: 0 } as const
    await settleEntries(path.connections.stream, path.place, [], [letter])
    assert.equal((await byKey('worn', 100)).state, 'Dead')
  })

  test('before it is forwarded: by entry unread, then held; by key without trace unless the stream is searched', async (t) => {
    const { path, hash, status, byKey } = await open(t, kind)
    const entry = await path.put('k', 'a')
    assert.equal((await byKey('a')).state, 'Unknown')
    const unread = await status({ entry })
    assert.deepEqual([unread.state, unread.key, unread.jobId], ['Unread', hash('a'), path.id('a')])
    const searched = await byKey('a', 10)
    assert.deepEqual([searched.state, searched.entry?.id], ['Unread', entry])
    await path.read('someone')
    const held = await status({ entry })
    assert.deepEqual(
      [held.state, held.entry?.state, held.entry?.consumer, held.entry?.deliveries],
      ['Forwarding', 'Pending', 'someone', 1],
    )
    assert.match(held.timeline.map(({ what }) => what).join('; '), /dispatched as entry .*; held by consumer someone, delivery 1/)
  })

  test('in the queue, at work, done with its result, and no longer kept', async (t) => {
    const { path, status, byKey } = await open(t, kind)
    const entry = await path.put('k', 'a')
    await forward(path)
    for (const found of [await byKey('a'), await status({ entry })]) {
      assert.deepEqual([found.state, found.entry?.id, found.job?.id], ['Waiting', entry, path.id('a')])
      const forwardedAt = found.timeline.find(({ what }) => what === 'forwarded to the queue')?.at ?? 0
      assert.ok(Math.abs(forwardedAt - Date.now()) < 60_000, String(forwardedAt))
    }
    const done = Promise.withResolvers<void>()
    const worker = work(t, path, async () => {
      await done.promise
      return { ndvi: 0.5 }
    })
    await eventually(async () => assert.equal((await byKey('a')).state, 'Active'))
    const active = await byKey('a')
    assert.deepEqual([active.job?.attempts, active.job?.maxAttempts], [1, 2])
    done.resolve()
    await eventually(async () => assert.equal((await byKey('a')).state, 'Completed'))
    assert.deepEqual((await status({ entry })).job?.result, { ndvi: 0.5 })
    await worker.close()
    await (await path.queue.getJob(path.id('a')))?.remove()
    assert.equal((await byKey('a')).state, 'NotKept')
    await path.queueClient.del(path.mark('a'))
    assert.equal((await byKey('a')).state, 'Unknown')
    assert.equal((await status({ entry })).state, 'NotKept')
  })

  test('waiting for its time, by priority, and between attempts; a duplicate names the entry before it', async (t) => {
    const allow = { maxDelay: '1h', priority: {} }
    const { path, status, byKey } = await open(t, kind, servers, { sink: { allow } })
    await path.put('k', 'late', 'sp-delay', '60000')
    await path.put('k', 'ranked', 'sp-priority', '2')
    const first = await path.put('k', 'twice')
    const second = await path.put('k', 'twice')
    await forward(path)
    const late = await byKey('late')
    assert.equal(late.state, 'Delayed')
    assert.equal(late.job?.dueAt, Number(late.entry?.id.split('-')[0]) + 60_000)
    assert.equal((await byKey('ranked')).state, 'Prioritized')
    assert.equal((await status({ entry: second })).duplicateOf, first)
    assert.equal((await status({ entry: first })).duplicateOf, undefined)
  })

  test('dead: by key and by entry, also without a key; replayed, it is on its way again', async (t) => {
    const { path, status, byKey } = await open(t, kind)
    const broken = await path.put('k', 'a', 'n', 'many')
    const keyless = await path.put('n', '1')
    await forward(path)
    for (const entry of [broken, keyless]) {
      const dead = await status({ entry })
      assert.deepEqual([dead.state, dead.dead?.entry], ['Dead', entry])
      assert.match(dead.timeline.at(-1)?.what ?? '', /dead letter .* SchemaViolation: /)
    }
    // The entry has left the stream: the index leads to the record.
    await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
    assert.equal((await status({ entry: keyless })).state, 'Dead')
    await path.stream.del(path.place.keys.dead(keyless))
    assert.equal((await status({ entry: keyless })).state, 'Unknown')
    assert.equal((await status({ entry: keyless }, 100)).state, 'Dead')
    assert.equal((await byKey('a')).state, 'Unknown')
  })

  test('a job that BullMQ gave up on is failed, then a dead letter that its key finds', async (t) => {
    const { path, byKey } = await open(t, kind)
    await path.put('k', 'a')
    await forward(path)
    const worker = work(t, path, async () => {
      throw new Error('no imagery')
    })
    await eventually(async () => assert.equal((await byKey('a')).state, 'Failed'))
    const failed = await byKey('a')
    assert.deepEqual([failed.job?.error, failed.job?.attempts], ['no imagery', 2])
    await worker.close()
    await sweeperOf(path).sweep()
    const dead = await byKey('a')
    assert.deepEqual([dead.state, dead.dead?.reason, dead.dead?.error], ['Dead', 'JobFailed', 'no imagery'])
  })

  test('a job whose worker has gone is stalled', async (t) => {
    const { path, byKey } = await open(t, kind)
    await path.put('k', 'a')
    await forward(path)
    const worker = work(t, path, async () => await new Promise((resolve) => t.after(() => resolve(undefined))))
    await eventually(async () => assert.equal((await byKey('a')).state, 'Active'))
    await path.queueClient.del(`${path.jobKey('a')}:lock`)
    assert.equal((await byKey('a')).state, 'Stalled')
    worker.close(true).catch(() => undefined)
  })

  test('it takes no more than five round trips', async (t) => {
    const replies = holdReplies(t)
    const own = await Promise.all([startRedis(t), startRedis(t)])
    const [stream, queue] = await Promise.all(own.map((server) => replies.way(server)))
    assert.ok(stream !== undefined && queue !== undefined)
    const { path, status, hash } = await open(t, kind, { stream, queue })
    const entry = await path.put('k', 'a')
    const refs: RequestRef[] = [{ entry }, { hash: hash('a') }]
    const rounds = async () => {
      const counts: number[] = []
      for (const ref of refs) counts.push(await replies.rounds(async () => void (await status(ref, 100))))
      return counts
    }
    const before = await rounds()
    await forward(path)
    const counts = [...before, ...(await rounds())]
    t.diagnostic(`round trips: ${counts.join(', ')}`)
    assert.ok(Math.max(...counts) <= 5, counts.join(', '))
  })

  test('no command of it costs more on a long stream or queue', async (t) => {
    const own = await Promise.all([startRedis(t), startRedis(t)])
    const [stream, queue] = own
    assert.ok(stream !== undefined && queue !== undefined)
    const { path, status, hash } = await open(t, kind, { stream, queue })
    const entry = await path.put('k', 'a')
    await path.put('k', '')
    await forward(path)
    const sent: string[] = []
    for (const server of own) {
      const monitor = await monitorOf(t, server)
      monitor.on('monitor', (_: string, args: readonly string[]) => sent.push(args.join(' ').toLowerCase()))
    }
    for (const ref of [{ entry }, { hash: hash('a') }, { hash: hash('nobody') }]) await status(ref, 100)
    await eventually(() => assert.ok(sent.filter((command) => command.startsWith('hmget')).length >= 3))
    assert.deepEqual(
      sent.filter((command) => !bounded.some((form) => form.test(command))),
      [],
    )
  })
}

/** A single key, a single id, or as many as a number in the command says. */
const bounded: readonly RegExp[] = [
  /^(?:get|pttl|hmget|zscore|exists) /,
  /^time$/,
  /^xrange (\S+) (\S+) \2$/,
  /^xpending (\S+) (\S+) (\S+) \3 1$/,
  /^xinfo groups /,
  /^xrevrange (\S+) \+ - count \d+$/,
  /^lpos (\S+) (\S+) maxlen \d+$/,
]

test('an id, a hash, a job id and the values of a key lead to a request', () => {
  const hash = 'q'.repeat(43)
  const refs = (values: string[], key?: string[], takesKeys = false) =>
    referencesOf(values, 'scope', key === undefined ? {} : { idempotencyKey: key }, takesKeys)
  assert.deepEqual(refs(['1784902617355-0'], ['k']), [{ entry: '1784902617355-0' }])
  assert.deepEqual(refs([`e-scope-${hash}`], ['k']), [{ hash }])
  assert.deepEqual(refs([hash]), [{ hash }])
  assert.equal(refs([hash], ['k'], true).length, 3)
  assert.equal(refs(['report-7'], ['k']).length, 1)
  assert.equal(refs(['a', 'b'], ['k', 'l']).length, 1)
  assert.deepEqual(refs(['a'], ['k', 'l']), [])
  assert.deepEqual(refs(['a']), [])
})
