/** The second wall: a pipeline that ends a process behind it is found and set aside, and no other is affected. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { admit } from '../../../api/admission.ts'
import { failure, type StreamPipelineError } from '../../../api/errors.ts'
import { validate } from '../../../api/validate.ts'
import { noLimits } from '../../../operator/limits.ts'
import type { Watched } from '../../../operator/observe/watcher.ts'
import type { Observation } from '../../../operator/plan/observed.ts'
import { createJudge } from '../../../operator/wall/judge/host.ts'
import { blindly } from '../../../operator/wall/looks/blind.ts'
import { type Group, judge } from '../../../operator/wall/looks/groups.ts'
import { createLookHost } from '../../../operator/wall/looks/host.ts'
import { createQuarantine } from '../../../operator/wall/quarantine.ts'
import { errorFrom, observationFrom, wireError, wireObservation } from '../../../operator/wall/wire.ts'
import { systemClock } from '../../../process/clock.ts'
import { failedLook, pipelineObject, read, seen } from '../../operator/builder.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 60_000 }

test('of those that end processes each is found, and no other is blamed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(), fc.nat(7), (size, culprit, begunStep) => {
      const keys = Array.from({ length: size }, (_, n) => `k${n}`)
      const bad = `k${culprit % size}`
      let ids = 0
      const group = (kind: Group['kind'], members: readonly string[]): Group => ({ id: ++ids, kind, keys: new Set(members) })
      const open: Group[] = [group('Main', keys)]
      let again = false
      for (let rounds = 0; rounds < 100; rounds++) {
        const hit = open.find((each) => each.keys.has(bad))
        assert.ok(hit !== undefined)
        open.splice(open.indexOf(hit), 1)
        // Now and then nothing shows which look was under way.
        const begun = begunStep === 0 ? [] : [...hit.keys].filter((key, n) => key === bad || n % begunStep === 0)
        const { innocent, suspected, guilty } = judge(hit, new Set(begun), again)
        assert.deepEqual([...innocent, ...suspected.flat(), ...guilty].sort(), [...hit.keys].sort())
        assert.deepEqual(
          guilty.filter((key) => key !== bad),
          [],
        )
        if (guilty.length > 0) return
        again = suspected.length === 0
        if (innocent.length > 0) open.push(group('Main', innocent))
        for (const each of suspected) open.push(group('Suspected', each))
      }
      assert.fail('never found')
    }),
    { seed },
  )
})

test('pauses grow from 5 s to 5 min, and what has long been well begins anew', () => {
  let now = 0
  const waits: number[] = []
  let due: (() => void) | undefined
  const clock = {
    ...systemClock,
    now: () => now,
    after: (ms: number, call: () => void) => {
      waits.push(ms)
      due = call
      return () => {}
    },
  }
  const quarantine = createQuarantine(clock)
  for (let n = 0; n < 9; n++) {
    quarantine.put('a', () => undefined)
    assert.equal(quarantine.holds('a'), true)
    now += waits.at(-1) ?? 0
    due?.()
    assert.equal(quarantine.holds('a'), false)
  }
  assert.deepEqual(waits, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000])
  now += 700_000
  quarantine.put('a', () => undefined)
  assert.equal(waits.at(-1), 5_000)
})

test('a quarantined pipeline keeps its consumers, and without any it gets the least that its spec asks for', () => {
  const replicasOf = (spec: object, currentReplicas?: number, before: Observation = { kind: 'None' }) => {
    const { pipeline } = read(pipelineObject(spec as Record<string, unknown>))
    const watched = { pipeline, currentReplicas, mode: 'Stream', livingPods: new Set<string>() } as const
    const observation = blindly(before, watched, failure('LookQuarantined', { detail: 'x' }))
    assert.equal(observation.kind, 'Failed')
    return observation.kind === 'Failed' ? [observation.decision.replicas, observation.decision.reason] : []
  }
  const scaling = { minReplicas: 2, maxReplicas: 9, onMetricsLoss: 'Max' }
  const held = (replicas: number) => [replicas, `Redis is not asked: hold at ${replicas}`]
  assert.deepEqual(replicasOf({ scaling }), held(2))
  assert.deepEqual(replicasOf({ scaling }, 5), held(5))
  assert.deepEqual(replicasOf({ scaling }, 0), held(2))
  const seven = { ...failedLook(pipelineObject()), decision: { replicas: 7, recommended: 7, reason: 'x' } } as Observation
  assert.deepEqual(replicasOf({ scaling }, 1, seven), held(7))
  assert.deepEqual(replicasOf({ scaling: { ...scaling, minReplicas: 0 } }), held(0))
  assert.deepEqual(replicasOf({ scaling, mode: 'Direct' }), held(0))
})

test('observations and errors survive the way between processes', () => {
  const object = pipelineObject()
  for (const observation of [seen(object), failedLook(object), { kind: 'None' } as const]) {
    const there = JSON.parse(JSON.stringify(wireObservation(observation, new Set())))
    const back = observationFrom(there)
    assert.equal(back.kind, observation.kind)
    if (observation.kind === 'Failed' && back.kind === 'Failed') {
      assert.deepEqual([back.error.code, back.error.advice], [observation.error.code, observation.error.advice])
    }
    if (observation.kind !== 'None' && back.kind !== 'None') {
      assert.deepEqual([back.decision.replicas, 'state' in back.decision], [observation.decision.replicas, false])
    }
  }
  assert.equal(errorFrom({ code: 'NoSuchCode', parameters: {} }).code, 'Internal')
  assert.equal(errorFrom(wireError(new Error('x'))).message, 'internal error: x')
})

function hostAt(t: TestContext) {
  const changes: string[] = []
  const faults: string[] = []
  const looks = new Map<string, number>()
  const host = createLookHost({
    clock: systemClock,
    settings: {
      everyMs: 100,
      quietMs: 1_000,
      referencesEveryMs: 1_000,
      inCluster: false,
      limits: noLimits,
      decisionLog: 'none',
      cluster: 'c',
    },
    reader: { read: () => Promise.reject(new Error('no references here')) },
    confirmGone: async () => false,
    pipelineGone: () => false,
    onReaped: () => undefined,
    onReapingFailure: () => undefined,
    onChange: (key) => void changes.push(key),
    onDecision: () => undefined,
    onLook: (key) => void looks.set(key, (looks.get(key) ?? 0) + 1),
    onFailure: (error) => void faults.push(error.message),
  })
  t.after(() => host.close())
  const watched = (name: string, url: string): Watched => ({
    pipeline: pipelineWith({ redis: { url }, source: { stream: `${name}:jobs`, group: name } }),
    currentReplicas: 1,
    mode: undefined,
    livingPods: new Set<string>(),
  })
  return { host, changes, faults, looks, watched }
}

/** Processes of ours that look. */
function programs(): { readonly pid: number }[] {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean)
  return children.map((pid) => ({ pid: Number(pid) })).filter(({ pid }) => commandOf(pid).includes('looks'))
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

/** Which of them has the far end of a connection. */
function holderOf(port: number | undefined): number | undefined {
  const end = `:${(port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  const row = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local = '']) => local.endsWith(end))
  const holds = (pid: number) =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${row?.[9]}]`
      } catch {
        return false
      }
    })
  return programs().find(({ pid }) => holds(pid))?.pid
}
const kindOf = (observation: Observation) => observation.kind

test('a process that is killed or hangs is replaced, and no pipeline waits long', async (t) => {
  const redis = await startRedis(t)
  const { host, faults, looks, watched } = hostAt(t)
  for (let n = 0; n < 20; n++) host.watch(`ns/p${n}`, watched(`p${n}`, redis.url))
  const all = () => Array.from({ length: 20 }, (_, n) => host.observation(`ns/p${n}`))
  await eventually(() => assert.ok(all().every((each) => each.kind === 'Seen')), slow)
  const [first] = programs()
  assert.ok(first !== undefined)
  process.kill(first.pid, 'SIGKILL')
  looks.clear()
  await eventually(() => assert.equal(looks.size, 20), slow)
  assert.match(faults[0] ?? '', /ended by SIGKILL/)

  for (const { pid } of programs()) process.kill(pid, 'SIGSTOP')
  looks.clear()
  await eventually(() => assert.equal(looks.size, 20), slow)
  assert.ok(
    faults.some((each) => /no sign of life for 5 s/.test(each)),
    faults.join('; '),
  )
  assert.deepEqual([...new Set(all().map(kindOf))], ['Seen'], 'what was seen stays until it is seen anew')
})

test('no process is there while there is no pipeline to look at, and none is left behind', async (t) => {
  const redis = await startRedis(t)
  const { host, watched } = hostAt(t)
  assert.deepEqual(programs(), [])
  host.watch('ns/p', watched('p', redis.url))
  await eventually(() => assert.equal(host.observation('ns/p').kind, 'Seen'), slow)
  assert.equal(programs().length, 1)
  host.unwatch('ns/p')
  await eventually(() => assert.deepEqual(programs(), []), slow)
})

test('a prepared process is used by the first pipeline, and ends if none comes', async (t) => {
  const redis = await startRedis(t)
  const { host, watched } = hostAt(t)
  host.prepare()
  host.prepare()
  const prepared = programs()
  assert.equal(prepared.length, 1)
  host.watch('ns/p', watched('p', redis.url))
  await eventually(() => assert.equal(host.observation('ns/p').kind, 'Seen'), slow)
  assert.deepEqual(programs(), prepared)
  host.unwatch('ns/p')
  await eventually(() => assert.deepEqual(programs(), []), slow)
  host.prepare()
  assert.equal(programs().length, 1)
  await eventually(() => assert.deepEqual(programs(), []), slow)
})

test('one that ends each process that looks at it is quarantined alone', async (t) => {
  const redis = await startRedis(t)
  const { host, looks, watched } = hostAt(t)
  const names = Array.from({ length: 12 }, (_, n) => `p${n}`)
  for (const name of names) host.watch(`ns/${name}`, watched(name, redis.url))
  // Whichever process asks this server is killed.
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    const pid = holderOf(socket.remotePort)
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => void server.close())
  host.watch('ns/bad', watched('bad', `redis://127.0.0.1:${(server.address() as AddressInfo).port}`))
  await eventually(() => {
    const observation = host.observation('ns/bad')
    assert.ok(observation.kind === 'Failed' && observation.error.code === 'LookQuarantined', observation.kind)
    assert.equal(observation.decision.replicas, 1)
  }, slow)
  looks.clear()
  await eventually(() => assert.equal(names.filter((name) => (looks.get(`ns/${name}`) ?? 0) > 0).length, names.length), slow)
  for (const name of names) assert.equal(host.observation(`ns/${name}`).kind, 'Seen', name)
})

const document = (schema: object) => ({
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'x' },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: 's', group: 'g' },
    payload: { schema },
    sink: { bullmq: { queue: 'q' } },
  },
})

/** Of so many references to so many properties. */
function bomb(references: number, properties: number) {
  const many = (count: number, entry: (n: number) => [string, object]) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => entry(n)))
  return {
    $defs: { a: { type: 'object', properties: many(properties, (n) => [`p${n}`, { type: 'string' }]) } },
    type: 'object',
    properties: many(references, (n) => [`r${n}`, { $ref: '#/$defs/a' }]),
  }
}

test('specs are judged apart; one that takes too long waits, its neighbours do not', async (t) => {
  const released: string[] = []
  const judged = createJudge({
    clock: systemClock,
    lateMs: 1_500,
    onRelease: (key) => void released.push(key),
    onFailure: () => undefined,
  })
  t.after(() => judged.close())
  const value = (schema: object) => admit(document(schema)).value
  assert.deepEqual(await judged.judge('a/none', '1', value({ type: 'object' })), [])
  const [problem] = await judged.judge('a/wrong', '1', value({ type: 'objekt' }))
  assert.equal(problem?.field, 'spec.payload.schema.type')
  const costly = value(bomb(2_000, 3_000))
  const begun = performance.now()
  const [late, fine] = await Promise.allSettled([
    judged.judge('tenant/costly', '1', costly),
    judged.judge('victim/fine', '1', value({ type: 'object' })),
  ])
  assert.deepEqual(fine, { status: 'fulfilled', value: [] })
  assert.ok(performance.now() - begun < 30_000)
  // On a machine that is quick enough nothing is late.
  if (late.status === 'rejected') assert.equal((late.reason as StreamPipelineError).code, 'SpecQuarantined')
})

test('the schema of the review, 140 references to 140 properties, takes less than a second', () => {
  const begun = process.cpuUsage()
  assert.deepEqual(validate(document(bomb(140, 140))), [])
  assert.ok(process.cpuUsage(begun).user < 1_500_000)
})

test('under $async every payload would pass: it is refused at every depth, but not as a name', () => {
  const schemas = [{ $async: true }, { properties: { a: { $async: true } } }, { allOf: [{ $defs: { b: { $async: true } } }] }]
  for (const schema of schemas) {
    assert.match(validate(document({ type: 'object', ...schema }))[0]?.message ?? '', /\$async/, JSON.stringify(schema))
  }
  assert.deepEqual(validate(document({ type: 'object', properties: { $async: { type: 'string' } } })), [])
})
