/** The judge of random histories finds a status false that was true before the pipeline's world changed. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamPipelineStatus } from '../../../api/status.ts'
import { seededRandom } from '../../operator/election/simulation.ts'
import { createJudge } from '../../operator/statuses/judge/judge.ts'
import { startOperator } from '../../operator/statuses/operator.ts'
import { firstSpec } from '../../operator/statuses/specs.ts'
import { createWorld, deploymentKey, key, name, namespace, type World } from '../../operator/statuses/world.ts'

/** Time for the change and for the last moment at which the old status was true. */
const laterMs = 20_000
const direct = { mode: 'Direct' }

interface Case {
  readonly title: string
  /** Before the status is taken. */
  readonly spec?: object
  readonly untilMs?: number
  readonly refusal?: World['refusal']
  readonly change: (world: World) => void
  /** Of the status that was taken. */
  readonly alter?: (status: StreamPipelineStatus) => StreamPipelineStatus
  readonly found: readonly RegExp[]
}

const stream = (world: World, more: Parameters<World['redis']['setStream']>[2]) => world.redis.setStream('redis-a', 's1 g', more)
const strike = (world: World) => {
  for (const pod of world.pods.list()) world.pods.strike(pod.key, 'Crash', 300_000)
}

const cases: readonly Case[] = [
  { title: 'nothing', change: () => {}, found: [] },
  { title: 'nothing, under mode Direct', spec: direct, untilMs: 200_000, change: () => {}, found: [] },
  {
    title: 'a spec named another stream under mode Direct, and the operator could not see it',
    spec: direct,
    untilMs: 200_000,
    change(world) {
      world.api.network.unwatched = '*'
      world.api.breakWatches()
      world.api.change('streampipelines', key, { spec: { source: { stream: 's2' } } })
      world.time.at(laterMs / 2, () => world.api.change('streampipelines', key, { spec: { source: { stream: 's1' } } }))
    },
    alter: (status) => ofGeneration(status, 4),
    found: [],
  },
  {
    title: 'the pods crash',
    change: strike,
    found: [/^replicas: /, /^Ready=True Running: /, /^ConsumersAvailable=True ConsumersReady: 1 were never ready/],
  },
  {
    title: 'the spec names another image',
    change: (world) => world.api.change('streampipelines', key, { spec: { consumer: { image: 'consumer:2' } } }),
    found: [/^generation 1 is over/],
  },
  {
    title: 'another writer changes the template',
    change(world) {
      const containers = [{ name: 'consumer', image: 'consumer:unready' }]
      // The operator would undo it.
      world.refusal = { kind: 'Rights', plural: 'deployments' }
      world.api.change('deployments', deploymentKey, { spec: { template: { spec: { containers } } } })
    },
    found: [/^replicas: /, /^Ready=True Running: not at work/, /^Reconciled=True ObjectsApplied: objects do not match/],
  },
  {
    title: 'another writer scales',
    change(world) {
      world.refusal = { kind: 'Rights', plural: 'deployments' }
      world.api.change('deployments', deploymentKey, { spec: { replicas: 3 } })
    },
    found: [/^replicas: /, /^desiredReplicas: 1, and the Deployment never had that many/],
  },
  {
    title: 'the next write is refused by another cause',
    refusal: { kind: 'Quota', plural: 'deployments' },
    spec: { consumer: { image: 'consumer:2' } },
    change(world) {
      world.refusal = { kind: 'Rights', plural: 'deployments' }
      world.api.change('streampipelines', key, { spec: { consumer: { image: 'consumer:3' } } })
    },
    alter: (status) => ofGeneration(status, 3),
    found: [/^Reconciled=False ApplyFailed: nothing refused it/],
  },
  {
    title: 'Redis refuses connections',
    change: (world) => world.redis.setState('redis-a', 'Refused'),
    found: [
      /^Ready=True Running: Redis does not answer/,
      /^RedisReachable=True RedisConnected: Redis answered last/,
      /^active: /,
    ],
  },
  {
    title: 'entries come',
    change(world) {
      strike(world)
      stream(world, { undelivered: 70, added: 70, oldestMs: world.time.nowMs, lastAddedMs: world.time.nowMs })
    },
    found: [/^backlog: /, /^ConsumersAvailable=True/, /^Ready=True/, /^replicas: /],
  },
  {
    title: 'entries are lost',
    change: (world) => stream(world, { added: 5, lost: 5 }),
    found: [/^backlog: /, /^DataIntact=True NothingLost: entries are lost/],
  },
  {
    title: 'the queue is paused',
    change: (world) => stream(world, { queuePaused: true }),
    found: [/^ScalingActive=True ScalingOnAge: the queue takes nothing/],
  },
  {
    title: 'an entry comes under mode Direct',
    spec: direct,
    untilMs: 200_000,
    change: (world) => stream(world, { undelivered: 1, added: 1, oldestMs: world.time.nowMs, lastAddedMs: world.time.nowMs }),
    found: [
      /^backlog: /,
      /^Drained=True StreamSettled: entries are left/,
      /^desiredReplicas: 0, and the Deployment never had that many/,
    ],
  },
  {
    title: 'an entry came and went under mode Direct',
    spec: direct,
    untilMs: 200_000,
    change: (world) => stream(world, { added: 1, lastAddedMs: world.time.nowMs }),
    found: [/^Drained=True StreamSettled: an entry came/],
  },
  {
    title: 'another stream was looked at under mode Direct',
    spec: direct,
    untilMs: 200_000,
    change(world) {
      world.api.change('streampipelines', key, { spec: { source: { stream: 's2' } } })
      world.time.at(laterMs / 2, () => world.api.change('streampipelines', key, { spec: { source: { stream: 's1' } } }))
    },
    alter: (status) => ofGeneration(status, 4),
    found: [/^Drained=True StreamSettled: an entry came, or this stream was first looked at/],
  },
  {
    title: 'reconciling is disabled',
    change: (world) =>
      world.api.change('streampipelines', key, { metadata: { annotations: { 'streampipeline.dev/reconcile': 'disabled' } } }),
    found: [/^Reconciled=True ObjectsApplied: reconciling is disabled/],
  },
  {
    title: 'a consumer too many is counted',
    change: () => {},
    alter: (status) => ({ ...status, consumers: { ...status.consumers, active: 2 } }) as StreamPipelineStatus,
    found: [/^active: 2 were never at work/],
  },
  {
    title: 'each object was right lately, though no two at once',
    spec: { suspend: true },
    change(world) {
      // The operator sees none of it.
      world.api.network.down = true
      const template = (image: string) => ({ spec: { template: { spec: { containers: [{ name: 'consumer', image }] } } } })
      world.api.change('deployments', deploymentKey, template('consumer:2'))
      world.time.at(laterMs - 4_000, () => world.api.change('configmaps', deploymentKey, { data: { 'pipeline.yaml': 'spoilt' } }))
      world.time.at(laterMs - 3_000, () => world.api.change('deployments', deploymentKey, template('consumer:1')))
    },
    found: [],
  },
  {
    title: 'a transition has the time of the status',
    change: () => {},
    alter: (status) => ({
      ...status,
      conditions: (status.conditions ?? []).map((each) => ({ ...each, lastTransitionTime: '2026-11-22T12:03:00Z' })),
    }),
    found: [/^transitions: Ready changed at /],
  },
]

/** A pipeline at work for twenty seconds. */
async function judgedWorld() {
  const world = createWorld(seededRandom(1), () => {})
  const pipeline = { apiVersion: 'streampipeline.dev/v1alpha1', kind: 'StreamPipeline', metadata: { name, namespace } }
  world.api.create('streampipelines', { ...pipeline, spec: firstSpec })
  const operator = startOperator(world, (thrown) => assert.fail(String(thrown)))
  const judge = createJudge(world, () => 0)
  await world.time.runUntil(20_000)
  return { world, operator, judge }
}

test('consumers are counted by the heartbeats that a look reads after its stream', async () => {
  for (const isLate of [false, true]) {
    const { world, operator, judge } = await judgedWorld()
    const { uid: owner = '' } = world.api.get('streampipelines', key)?.metadata ?? {}
    const beat = (beatMs: number) =>
      stream(world, {
        consumers: new Map(
          world.pods.list().map((pod) => [pod.key.slice(namespace.length + 1), { uid: `${owner}/${pod.uid}`, beatMs }]),
        ),
      })
    beat(-60_000)
    const [looks, reads] = [world.looks.length, world.heartbeats.length]
    const isRead = () => (isLate ? world.heartbeats.length > reads : world.looks.length > looks)
    while (!isRead()) await world.time.runUntil(world.time.nowMs + 0.5)
    beat(world.time.nowMs)
    const beatMs = world.time.nowMs
    await world.time.runUntil(beatMs + 1_000)
    operator.kill()
    const status = world.api.get('streampipelines', key)?.status as StreamPipelineStatus
    const counted = (active: number) => ({
      atMs: world.time.nowMs,
      status: { ...status, consumers: { ...status.consumers, active } } as StreamPipelineStatus,
      before: status,
      uid: owner,
    })
    const isFalse = (active: number) => judge.judge(counted(active))?.some((each) => each.startsWith('active: ')) === true
    assert.deepEqual([isFalse(0), isFalse(1)], isLate ? [false, true] : [true, false])
  }
})

function ofGeneration(status: StreamPipelineStatus, generation: number): StreamPipelineStatus {
  const conditions = (status.conditions ?? []).map((each) => ({ ...each, observedGeneration: generation }))
  return { ...status, observedGeneration: generation, conditions }
}

const unaltered = (status: StreamPipelineStatus) => status

for (const { title, spec, untilMs = 40_000, refusal, change, alter = unaltered, found } of cases)
  test(`a status from before is ${found.length === 0 ? 'still true' : 'false'}: ${title}`, async () => {
    const { world, operator, judge } = await judgedWorld()
    world.refusal = refusal
    if (spec !== undefined) world.api.change('streampipelines', key, { spec })
    await world.time.runUntil(untilMs)
    const taken = world.api.get('streampipelines', key)
    const status = taken?.status as StreamPipelineStatus
    change(world)
    await world.time.runUntil(untilMs + laterMs)
    operator.kill()
    const sent = { atMs: world.time.nowMs, status: alter(status), before: status, uid: taken?.metadata.uid }
    const claims = judge.judge(sent)
    assert.deepEqual(found.length === 0 ? claims : [], [])
    for (const claim of found)
      assert.ok(
        claims?.some((each) => claim.test(each)),
        `${claim} is not in ${claims?.join('; ')}`,
      )
  })
