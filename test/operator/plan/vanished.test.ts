import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, beforeEach, test } from 'node:test'
import type { Redis } from 'ioredis'
import { failure, type StreamPipelineError } from '../../../api/errors.ts'
import type { DarkKind, PodObject } from '../../../operator/plan/observed.ts'
import { vanishedLine } from '../../../operator/plan/vanished.ts'
import { createReaper } from '../../../operator/reaping/reaper.ts'
import { livingPods, suspects } from '../../../operator/reaping/suspects.ts'
import { consumersStatus } from '../../../operator/status/consumers.ts'
import { strangersText } from '../../../operator/status/strangers.ts'
import { type Clock, systemClock } from '../../../process/clock.ts'
import { keySpace } from '../../../redis/keys.ts'
import type { Reaping } from '../../../redis/stream/reaping.ts'
import type { ConsumerSample } from '../../../scaling/sample.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { createTestClock } from '../../support/testclock.ts'
import { nowMs, pipelineObject, read, sample, uid } from '../builder.ts'

const pod = (name: string, phase?: string, more: PodObject['metadata'] = {}): PodObject => ({
  metadata: { name, uid: `${name}-uid`, ...more },
  ...(phase === undefined ? {} : { status: { phase } }),
})
const heartbeat = (path: string, of: string): NonNullable<ConsumerSample['heartbeat']> => ({
  ...{ uid: of, at: nowMs, state: 'Running', inFlight: 0, serviceMs: 1, path },
  ...{ forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 },
})

test('a pod lives until it is gone or all its containers have ended', () => {
  const pods = [
    pod('pending', 'Pending'),
    pod('running', 'Running'),
    pod('unknown'),
    pod('terminating', 'Running', { deletionTimestamp: '2026-11-22T16:00:00Z' }),
    pod('failed', 'Failed'),
    pod('succeeded', 'Succeeded'),
  ]
  assert.deepEqual([...livingPods(pods)], ['pending-uid', 'running-uid', 'unknown-uid', 'terminating-uid'])
})

test('a consumer is suspected if it is registered as a pod of this pipeline, and that pod does not live', () => {
  const consumers: ConsumerSample[] = [
    { name: 'alive', uid: `${uid}/alive-uid`, pending: 1, idleMs: 1 },
    { name: 'gone', uid: `${uid}/gone-uid`, pending: 0, idleMs: 1 },
    { name: 'alive-again', uid: `${uid}/earlier-life`, pending: 1, idleMs: 1 },
    { name: 'other', uid: 'other-pipeline/gone-uid', pending: 1, idleMs: 1 },
    { name: 'by-hand', uid: 'local-laptop-1-2/3', pending: 1, idleMs: 1 },
    { name: 'formless', uid: 'gone-uid', pending: 1, idleMs: 1 },
    { name: 'unregistered', pending: 1, idleMs: 1 },
  ]
  const found = suspects(sample({ consumers }), uid, new Set(['alive-uid', 'alive-again-uid']))
  assert.deepEqual(
    found.map(({ consumer, podUid }) => [consumer.name, podUid]),
    [
      ['gone', 'gone-uid'],
      ['alive-again', 'earlier-life'],
    ],
  )
  assert.deepEqual(suspects(sample({ consumers: [{ name: 'x', uid: '/gone', pending: 1, idleMs: 1 }] }), '', new Set()), [])
})

const away = failure('RedisUnreachable', { address: 'redis:6379', detail: 'ECONNREFUSED' })
const full = failure('WrongKeyType', { key: 'dead', actual: 'string', expected: 'stream' })
const deletedMs = Date.UTC(2026, 10, 22, 15, 58, 41)
const gone = { name: 'c', uid: `${uid}/p`, pending: 120, oldestId: `${nowMs - 124_000}-0` }
const lines = [
  [
    { ...gone, deletedMs, release: { kind: 'Released' } },
    /^c {2}Vanished {2}pending 120 {2}oldest 2m00s {2}pod deleted 15:58:41Z, entries released$/,
  ],
  [{ ...gone, release: { kind: 'Released' } }, /pod gone, entries released$/],
  [{ ...gone, release: { kind: 'Released', refusal: full } }, /entries released, trimmed ones not recorded: .*dead/],
  [{ ...gone, deletedMs, release: { kind: 'Awaited' } }, /pod deleted 15:58:41Z, entries wait until its heartbeat expires$/],
  [{ ...gone, release: { kind: 'Failed', error: away } }, /entries not released: .*redis:6379/],
] as const

for (const [consumer, expected] of lines) {
  test(`status reports a vanished consumer: ${expected.source}`, () => assert.match(vanishedLine(consumer, sample()), expected))
}

test('ids that are not times have no age', () => {
  const consumer = { ...gone, release: { kind: 'Released' } } as const
  assert.equal(vanishedLine(consumer, sample({ timeIds: false })), 'c  Vanished  pending 120  pod gone, entries released')
})

test('foreign consumers are reported by name, a few of them; our own, our pods and mere names are none', () => {
  const own: ConsumerSample[] = [
    { name: 'ours', uid: `${uid}/p`, pending: 1, idleMs: 1 },
    { name: 'pod', pending: 1, idleMs: 1 },
    { name: 'left-by-up', uid: 'local-laptop-1-2/3', pending: 0, idleMs: 0 },
  ]
  const text = (consumers: ConsumerSample[]) => strangersText(uid, [pod('pod')], sample({ consumers }))
  assert.equal(text(own), '')
  const others = ['d', 'c', 'b', 'a'].map((name) => ({ name, pending: 0, idleMs: 5 }))
  assert.match(text([...own, ...others]), /not this pipeline's \(a, b, c and 1 more\)/)
  assert.match(text([{ name: 'x', uid: 'other/p', pending: 0, idleMs: 1, heartbeat: heartbeat('Atomic', 'other/p') }]), /\(x\)/)
})

test('while pods cannot be watched, no pod makes a consumer of another owner count as active', () => {
  const other = { name: 'x', uid: 'other/p', pending: 0, idleMs: 1, heartbeat: heartbeat('Atomic', 'other/p') }
  const error = failure('KubernetesForbidden', { detail: 'no' })
  const activeWith = (dark: readonly DarkKind[]) =>
    consumersStatus(
      { object: pipelineObject(), pods: [{ metadata: { name: 'x', uid: 'p' } }], dark },
      sample({ consumers: [other] }),
      [],
      nowMs,
    ).active
  assert.deepEqual([activeWith([]), activeWith([{ kind: 'Pod', known: true, subject: 'pods', error }])], [1, 0])
})

const { pipeline } = read(pipelineObject())
const { stream, group } = pipeline.source
const keys = keySpace(stream, group)
let redis: Redis
const scope = fileScope()
before(async () => {
  redis = (await startRedis(scope)).client()
})
beforeEach(async () => {
  await redis.flushall()
  await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
})

/** A consumer with entries in its hands, as the registry and a look at Redis show it. */
async function consumer(name: string, pending: number, path?: string): Promise<ConsumerSample> {
  const of = `${uid}/${name}-uid`
  for (let i = 0; i < pending; i++) await redis.xadd(stream, '*', 'n', String(i))
  if (pending > 0) await redis.xreadgroup('GROUP', group, name, 'COUNT', pending, 'STREAMS', stream, '>')
  await redis.hset(keys.consumers, name, of)
  return { name, uid: of, pending, idleMs: 1, ...(path === undefined ? {} : { heartbeat: heartbeat(path, of) }) }
}

function reaperWith(confirmGone: (namespace: string, name: string) => Promise<boolean>, clock: Clock = systemClock) {
  const reaped: [string, Reaping['kind']][] = []
  const failures: StreamPipelineError[] = []
  const reaper = createReaper({
    clock,
    confirmGone,
    onReaped: (name, { kind }) => reaped.push([name, kind]),
    onFailure: (error) => failures.push(error),
  })
  const look = (consumers: ConsumerSample[], living: string[] = []) =>
    reaper.reap(redis, pipeline, new Set(living), sample({ consumers }))
  return { reaper, look, reaped, failures }
}
const namesOf = (consumers: readonly ConsumerSample[]) => consumers.map(({ name }) => name)
const scriptsRun = async () => {
  const stats = await redis.info('commandstats')
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0)
}

test('names without entries are gone from what was seen, and the dead do not count as at work', async () => {
  const { look, reaped } = reaperWith(async () => true)
  const seen = [
    await consumer('empty', 0, 'Atomic'),
    await consumer('holding', 3, 'Atomic'),
    await consumer('alive', 1, 'Atomic'),
  ]
  const { sample: rest, vanished } = await look(seen, ['alive-uid'])
  assert.deepEqual(namesOf(rest.consumers), ['holding', 'alive'])
  assert.deepEqual(
    rest.consumers.map((each) => each.heartbeat !== undefined),
    [false, true],
  )
  assert.deepEqual(
    vanished.map(({ name, pending, release, deletedMs: at }) => [name, pending, release.kind, at]),
    [['holding', 3, 'Released', undefined]],
  )
  assert.deepEqual(reaped, [
    ['empty', 'Gone'],
    ['holding', 'Released'],
  ])
})

test('what was released is work to be done, for scaling, at once', async () => {
  const { look } = reaperWith(async () => true)
  const seen = [await consumer('c', 5, 'Atomic'), await consumer('d', 4, 'Split')]
  await redis.set(keys.consumer('d'), 'beats on')
  assert.equal((await look(seen)).sample.orphaned, 0, 'nothing pending was seen')
  const { reaper } = reaperWith(async () => true)
  const { sample: rest } = await reaper.reap(redis, pipeline, new Set(), sample({ consumers: seen, pending: 9, quarantined: 1 }))
  assert.equal(rest.orphaned, 4)
})

test('the operator knows the time at which a pod went if it was looking then', async () => {
  const { look } = reaperWith(async () => true)
  const seen = [await consumer('c', 1, 'Atomic')]
  await look(seen, ['c-uid'])
  const { vanished } = await look(seen, [])
  assert.ok(Math.abs((vanished[0]?.deletedMs ?? 0) - Date.now()) < 5_000)
})

test('one that was released is not gone through again until something about it changes', async () => {
  const { look, reaped } = reaperWith(async () => true)
  const seen = await consumer('c', 5)
  await look([seen])
  const before = await scriptsRun()
  const { vanished } = await look([{ ...seen, pending: 4 }])
  assert.deepEqual([vanished[0]?.pending, await scriptsRun()], [4, before])
  await look([{ ...seen, pending: 6 }])
  assert.equal(await scriptsRun(), before + 1)
  await look([{ ...seen, heartbeat: heartbeat('Atomic', seen.uid ?? '') }])
  assert.equal(await scriptsRun(), before + 2)
  await redis.xack(stream, group, ...(await redis.xrange(stream, '-', '+')).map(([id]) => id))
  assert.deepEqual(namesOf((await look([{ ...seen, pending: 0 }])).sample.consumers), [])
  assert.deepEqual(reaped, [
    ['c', 'Released'],
    ['c', 'Gone'],
  ])
})

test('a pod that is there after all, or whose node cannot be asked, is left alone', async () => {
  const seen = await consumer('c', 1, 'Atomic')
  const alive = reaperWith(async () => false)
  assert.deepEqual(await alive.look([seen]), { sample: sample({ consumers: [seen] }), vanished: [] })
  const error = failure('KubernetesUnreachable', { detail: 'ECONNREFUSED' })
  const unsure = reaperWith(() => Promise.reject(error))
  assert.deepEqual(await unsure.look([seen]), { sample: sample({ consumers: [seen] }), vanished: [] })
  assert.deepEqual([unsure.failures, await redis.hlen(keys.consumers)], [[error], 1])
})

test('while nothing can be asked, those that were found gone before stay so', async () => {
  const error = failure('KubernetesUnreachable', { detail: 'no answer' })
  const { look, failures } = reaperWith(async (_, name) => {
    if (name === 'fresh') throw error
    return true
  })
  const [fresh, old] = [await consumer('fresh', 1, 'Atomic'), await consumer('old', 2)]
  await look([old])
  const { sample: rest, vanished } = await look([fresh, old])
  assert.deepEqual(
    vanished.map(({ name, release }) => [name, release.kind]),
    [['old', 'Released']],
  )
  assert.deepEqual([failures, namesOf(rest.consumers)], [[error], ['fresh', 'old']])
})

test('slow answers end the search after a second, and the next look goes on from there', async () => {
  const clock = createTestClock()
  let asked: string[] = []
  const slowly = async (_: string, name: string) => {
    asked.push(name)
    clock.advance(600)
    return false
  }
  const { look } = reaperWith(slowly, clock)
  const seen = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => consumer(name, 0)))
  const turns: string[] = []
  for (let n = 0; n < 4; n++) {
    asked = []
    await look(seen)
    turns.push(asked.join(''))
  }
  assert.deepEqual(turns, ['ab', 'cd', 'ea', 'bc'])
})

test('a refusal of Redis is reported, and tried again at the next look', async () => {
  const { look, failures } = reaperWith(async () => true)
  const seen = [await consumer('c', 1, 'Atomic')]
  await redis.rename(keys.consumers, 'aside')
  await redis.set(keys.consumers, 'not a hash')
  const { vanished } = await look(seen)
  assert.deepEqual([vanished[0]?.release.kind, failures.length], ['Failed', 1])
  await redis.rename('aside', keys.consumers)
  assert.equal((await look(seen)).vanished[0]?.release.kind, 'Released')
})
