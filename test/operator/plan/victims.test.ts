import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Observation, PodObject } from '../../../operator/plan/observed.ts'
import { deletionCostAnnotation, markingsOf } from '../../../operator/plan/victims.ts'
import { seed } from '../../support/seed.ts'
import { failedLook, nowMs, pipelineObject, seen } from '../builder.ts'

interface Drawn {
  readonly pending: number | undefined
  readonly stage: 'Unassigned' | 'Pending' | 'Running' | 'Ready' | 'Deleted' | 'Failed'
  readonly ageS: number
  readonly mark: string | undefined
}

function podOf({ stage, ageS, mark }: Drawn, n: number): PodObject {
  const phase = {
    Unassigned: 'Pending',
    Pending: 'Pending',
    Running: 'Running',
    Ready: 'Running',
    Deleted: 'Running',
    Failed: 'Failed',
  }
  return {
    metadata: {
      name: `pod-${n}`,
      uid: `uid-${n}`,
      creationTimestamp: new Date(nowMs - ageS * 1000).toISOString(),
      ...(stage === 'Deleted' && { deletionTimestamp: new Date(nowMs).toISOString() }),
      ...(mark !== undefined && { annotations: { [deletionCostAnnotation]: mark } }),
    },
    ...(stage !== 'Unassigned' && { spec: { nodeName: 'node' } }),
    status: { phase: phase[stage], conditions: [{ type: 'Ready', status: stage === 'Ready' ? 'True' : 'False' }] },
  }
}

function seenWith(drawn: readonly Drawn[]): Observation {
  const consumers = drawn.flatMap(({ pending }, n) => (pending === undefined ? [] : [{ name: `pod-${n}`, pending, idleMs: 1 }]))
  return seen(pipelineObject(), { consumers })
}

/** The ReplicaSet controller's choice (ActivePodsWithRanks, without spreading over nodes): true when `a` goes before `b`. */
function goesFirst(a: PodObject, b: PodObject, costs: ReadonlyMap<string, number>): number {
  const rank = ({ spec, status }: PodObject) => [
    spec?.nodeName ? 1 : 0,
    { Pending: 0, Unknown: 1, Running: 2 }[status?.phase ?? ''] ?? 0,
    status?.conditions?.[0]?.status === 'True' ? 1 : 0,
  ]
  const [left, right] = [rank(a), rank(b)]
  for (const [at, value] of left.entries()) if (value !== right[at]) return value - (right[at] ?? 0)
  return (costs.get(a.metadata.name ?? '') ?? 0) - (costs.get(b.metadata.name ?? '') ?? 0)
}

const drawnPods = fc.array(
  fc.record({
    pending: fc.option(fc.nat(200), { nil: undefined }),
    stage: fc.constantFrom<Drawn['stage']>('Unassigned', 'Pending', 'Running', 'Ready', 'Ready', 'Ready', 'Deleted', 'Failed'),
    ageS: fc.nat(1_000),
    mark: fc.option(fc.constantFrom('-1', '-3', '7'), { nil: undefined }),
  }),
  { maxLength: 12 },
)

test('a pod that the ReplicaSet controller then deletes held no more entries than any remaining pod in the same stage of its start', () => {
  fc.assert(
    fc.property(drawnPods, fc.integer({ min: 1, max: 12 }), (drawn, replicas) => {
      const pods = drawn.map(podOf)
      const markings = markingsOf({ pods, observation: seenWith(drawn) }, replicas)
      const costs = new Map(
        pods.map(({ metadata }) => [metadata.name ?? '', Number(metadata.annotations?.[deletionCostAnnotation] ?? 0)]),
      )
      for (const { pod, cost } of markings) costs.set(pod.metadata.name ?? '', Number(cost ?? 0))
      const active = pods.filter((_, n) => !['Deleted', 'Failed'].includes(drawn[n]?.stage ?? ''))
      if (active.length <= replicas) {
        assert.deepEqual(markings, [])
        return
      }
      const pendingOf = (pod: PodObject) => drawn[pods.indexOf(pod)]?.pending ?? 0
      const stageOf = (pod: PodObject) => drawn[pods.indexOf(pod)]?.stage
      const order = active.toSorted((a, b) => goesFirst(a, b, costs))
      const [gone, stay] = [order.slice(0, active.length - replicas), order.slice(active.length - replicas)]
      for (const going of gone) {
        for (const staying of stay) {
          if (stageOf(going) === stageOf(staying)) assert.ok(pendingOf(going) <= pendingOf(staying))
          // The choice leaves nothing to chance.
          assert.notEqual(goesFirst(going, staying, costs), 0)
        }
        assert.ok((costs.get(going.metadata.name ?? '') ?? 0) < 0)
      }
      for (const staying of stay) assert.equal(costs.get(staying.metadata.name ?? ''), 0)
    }),
    { seed, numRuns: 500 },
  )
})

const three: Drawn[] = [40, 0, 7].map((pending) => ({ pending, stage: 'Ready', ageS: 60, mark: undefined }))

test('only those that go are written to, the least busy lowest', () => {
  const marked = markingsOf({ pods: three.map(podOf), observation: seenWith(three) }, 1)
  assert.deepEqual(
    marked.map(({ pod, cost }) => [pod.metadata.name, cost]),
    [
      ['pod-1', '-2'],
      ['pod-2', '-1'],
    ],
  )
})

test('where a pod is not known of yet, as many are marked as are to go', () => {
  const marked = markingsOf({ pods: three.map(podOf), observation: seenWith(three) }, 2, 4)
  assert.deepEqual(
    marked.map(({ pod, cost }) => [pod.metadata.name, cost]),
    [
      ['pod-1', '-2'],
      ['pod-2', '-1'],
    ],
  )
})

test('a mark that is no longer right goes, one that is right is not written again', () => {
  const pods = three.map((drawn, n) => podOf({ ...drawn, mark: n === 0 ? '-5' : n === 1 ? '-1' : undefined }, n))
  const marked = markingsOf({ pods, observation: seenWith(three) }, 2)
  assert.deepEqual(
    marked.map(({ pod, cost }) => [pod.metadata.name, cost]),
    [['pod-0', null]],
  )
})

test('of pods with as much to do the newest goes', () => {
  const drawn = [10, 500, 90].map((ageS): Drawn => ({ pending: 3, stage: 'Ready', ageS, mark: undefined }))
  const [marking] = markingsOf({ pods: drawn.map(podOf), observation: seenWith(drawn) }, 2)
  assert.equal(marking?.pod.metadata.name, 'pod-0')
})

test('nothing is marked when all go, when none goes, and what is pending is not known', () => {
  const pods = three.map(podOf)
  for (const replicas of [0, 3, 9]) assert.deepEqual(markingsOf({ pods, observation: seenWith(three) }, replicas), [])
  assert.equal(markingsOf({ pods, observation: failedLook(pipelineObject()) }, 2).length, 1)
  assert.equal(markingsOf({ pods, observation: { kind: 'None' } }, 2).length, 1)
})
