import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decide } from '../../scaling/decide.ts'
import type { ScalingPolicy } from '../../scaling/policy.ts'
import type { Sample } from '../../scaling/sample.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { seed } from '../support/seed.ts'
import { consumers, policyWith, sampleWith, stateWith } from './builders.ts'

interface Row {
  readonly name: string
  readonly state?: Partial<ScalingState>
  readonly sample?: Partial<Sample>
  readonly policy?: Partial<ScalingPolicy>
  readonly replicas: number
  readonly limitedBy?: string
  readonly reason?: RegExp
}

/** A state in which one replica clears 100/s and nothing was recently late. */
const knows = { capacity: { perSecond: 100, marks: {} } }
/** 6,000 entries within the last minute: 100/s. */
const arriving = (perSecond: number) => ({
  arrivals: [
    { atMs: 940_000, added: 0 },
    { atMs: 985_000, added: perSecond * 45 },
  ],
})

const rows: readonly Row[] = [
  { name: 'nothing to do holds the minimum', state: { replicas: 1 }, replicas: 1, limitedBy: 'MinReplicas' },
  {
    name: 'arrivals alone size at three quarters of capacity',
    state: { replicas: 1, ...knows, ...arriving(300) },
    sample: { entriesAdded: 18_000, consumers: consumers(1) },
    replicas: 4,
    reason: /arrivals 300\/s: 4$/,
  },
  {
    name: 'a late backlog adds what clears it within half the target',
    state: { replicas: 3, ...knows, ...arriving(150) },
    sample: { entriesAdded: 9_000, undelivered: 3_000, undeliveredAgeMs: 41_000, consumers: consumers(3) },
    replicas: 4,
    reason: /^oldest 41s > 30s target; 3 pods clear 300\/s, arrivals 150\/s: 4$/,
  },
  {
    name: 'a young backlog adds no replicas if the running ones clear it in time',
    state: { replicas: 2, ...knows, ...arriving(100) },
    sample: { entriesAdded: 6_000, undelivered: 200, undeliveredAgeMs: 1_000, consumers: consumers(2) },
    replicas: 2,
    reason: /hold$/,
  },
  {
    name: 'a young backlog that the running replicas cannot clear in time adds replicas before anything is late',
    state: { replicas: 1, ...knows },
    sample: { undelivered: 6_000, undeliveredAgeMs: 1_000, consumers: consumers(1) },
    replicas: 4,
  },
  {
    name: 'the maximum limits and says what would be needed',
    state: { replicas: 5, ...knows },
    sample: { undelivered: 60_000, undeliveredAgeMs: 60_000, consumers: consumers(5) },
    replicas: 10,
    limitedBy: 'MaxReplicas',
    reason: /40 needed, 10 is the maximum$/,
  },
  {
    name: 'at an unknown speed the number doubles while entries age',
    state: { replicas: 2 },
    sample: { undelivered: 10, undeliveredAgeMs: 10_000, consumers: consumers(2, { serviceMs: 0 }) },
    replicas: 4,
    reason: /speed not known yet/,
  },
  {
    name: 'unknown speed waits for replicas that are starting',
    state: { replicas: 2, startUp: { awaiting: { replicas: 2, sinceMs: 995_000 } } },
    sample: { undelivered: 10, undeliveredAgeMs: 10_000, consumers: [] },
    replicas: 2,
  },
  {
    name: 'unknown speed asks for no more where none became ready',
    state: { replicas: 2, startUp: { awaiting: { replicas: 2, sinceMs: 800_000 } } },
    sample: { undelivered: 10, undeliveredAgeMs: 100_000, consumers: [] },
    replicas: 2,
  },
  {
    name: 'at an unknown speed the number of ready replicas is doubled, not the number that was asked for',
    state: { replicas: 5, startUp: { awaiting: { replicas: 5, sinceMs: 800_000 } } },
    sample: { undelivered: 10, undeliveredAgeMs: 100_000, consumers: consumers(3, { serviceMs: 0 }) },
    replicas: 6,
  },
  {
    name: 'a known speed asks for no more where none has become ready in three starts',
    state: { replicas: 4, ...knows, startUp: { awaiting: { replicas: 4, sinceMs: 984_000 } } },
    sample: { undelivered: 12_000, undeliveredAgeMs: 31_000, consumers: [] },
    replicas: 4,
    limitedBy: 'StartUp',
    reason: /hold, none of 4 has become ready in 16s$/,
  },
  {
    name: 'and goes on once one has',
    state: { replicas: 4, ...knows, startUp: { awaiting: { replicas: 4, sinceMs: 984_000 } } },
    sample: { undelivered: 12_000, undeliveredAgeMs: 31_000, consumers: consumers(1) },
    replicas: 8,
  },
  {
    name: 'a small second step waits for replicas that are starting',
    state: { replicas: 4, ...knows, startUp: { awaiting: { replicas: 4, sinceMs: 995_000 } } },
    sample: { undelivered: 7_500, undeliveredAgeMs: 31_000, consumers: consumers(1) },
    replicas: 4,
    limitedBy: 'StartUp',
  },
  {
    name: 'a large second step does not wait',
    state: { replicas: 4, ...knows, startUp: { awaiting: { replicas: 4, sinceMs: 995_000 } } },
    sample: { undelivered: 12_000, undeliveredAgeMs: 31_000, consumers: consumers(1) },
    replicas: 8,
  },
  {
    name: 'a full queue downstream holds growth',
    state: { replicas: 2, ...knows },
    sample: { undelivered: 60_000, undeliveredAgeMs: 60_000, queueWaiting: 50_001, consumers: consumers(2) },
    replicas: 2,
    limitedBy: 'Downstream',
    reason: /the queue has 50001 jobs waiting \(limit 50000\)$/,
  },
  {
    name: 'shrinks when nothing more was wanted within the window, by as much as one start could make good again',
    state: { replicas: 8, ...knows, startUp: { typicalMs: 20_000 } },
    sample: { consumers: consumers(8) },
    replicas: 6,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'does not shrink below what was wanted within the window',
    state: { replicas: 4, ...knows, wanted: [{ atMs: 800_000, replicas: 4 }] },
    sample: { consumers: consumers(4) },
    replicas: 4,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'does not shrink while the oldest entry is past half the target',
    state: { replicas: 4, ...knows },
    sample: { undelivered: 1, undeliveredAgeMs: 16_000, consumers: consumers(4) },
    replicas: 4,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'does not shrink soon after entries were late',
    state: { replicas: 4, ...knows, lastLateMs: 970_000 },
    sample: { consumers: consumers(4) },
    replicas: 4,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'shrinks one step at a time',
    state: { replicas: 4, ...knows, lastShrinkMs: 995_000 },
    sample: { consumers: consumers(4) },
    replicas: 4,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'holds until what waited is cleared',
    state: { replicas: 4, ...knows, rush: [{ atMs: 990_000, replicas: 4 }] },
    sample: { undelivered: 5, undeliveredAgeMs: 100, consumers: consumers(4) },
    replicas: 4,
    limitedBy: 'ScaleDown',
    reason: /hold, what waited is being cleared$/,
  },
  {
    name: 'gives back what clearing took as soon as nothing waits',
    state: { replicas: 4, ...knows, rush: [{ atMs: 990_000, replicas: 4 }] },
    sample: { consumers: consumers(4) },
    replicas: 2,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'without scaleDownDelay keeps a needed number for as long as four starts and drains take',
    state: { replicas: 4, ...knows, startUp: { typicalMs: 15_000 }, wanted: [{ atMs: 945_000, replicas: 4 }] },
    sample: { consumers: consumers(4) },
    policy: { scaleDownDelayMs: undefined },
    replicas: 4,
    limitedBy: 'ScaleDown',
    reason: /hold, 4 were needed lately$/,
  },
  {
    name: 'without scaleDownDelay gives it back after that',
    state: { replicas: 4, ...knows, startUp: { typicalMs: 15_000 }, wanted: [{ atMs: 935_000, replicas: 4 }] },
    sample: { consumers: consumers(4) },
    policy: { scaleDownDelayMs: undefined },
    replicas: 3,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'without scaleDownDelay keeps it for five minutes while no start was seen',
    state: { replicas: 4, ...knows, wanted: [{ atMs: 705_000, replicas: 4 }] },
    sample: { consumers: consumers(4) },
    policy: { scaleDownDelayMs: undefined },
    replicas: 4,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'a missing sample holds',
    state: { replicas: 4, wanted: [] },
    sample: undefined as never,
    replicas: 4,
    limitedBy: 'MetricsLoss',
    reason: /could not be asked for 1 tick: hold at 4$/,
  },
  {
    name: 'the third missing sample obeys onMetricsLoss Max',
    state: { replicas: 4, misses: 2 },
    sample: undefined as never,
    policy: { onMetricsLoss: 'Max' },
    replicas: 10,
    limitedBy: 'MetricsLoss',
  },
  {
    name: 'onMetricsLoss with a smaller number does not shrink',
    state: { replicas: 4, misses: 2 },
    sample: undefined as never,
    policy: { onMetricsLoss: 2 },
    replicas: 4,
    limitedBy: 'MetricsLoss',
  },
  {
    name: 'a clock that went back holds',
    state: { replicas: 4, atMs: 2_000_000 },
    replicas: 4,
    limitedBy: 'ClockChange',
  },
  {
    name: 'the first sample after an outage does not shrink',
    state: { replicas: 4, misses: 3, ...knows },
    sample: { consumers: consumers(4) },
    replicas: 4,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'a counter of entries that fell says nothing of the load for a while',
    state: { replicas: 4, ...knows, startUp: { typicalMs: 8_000 }, arrivals: [{ atMs: 995_000, added: 9_000 }] },
    sample: { entriesAdded: 100, consumers: consumers(4) },
    policy: { scaleDownDelayMs: 0 },
    replicas: 4,
    limitedBy: 'ScaleDown',
    reason: /hold, the load has been seen for a short time only$/,
  },
  {
    name: 'a first decision without state does not shrink what it finds',
    sample: { consumers: consumers(4) },
    replicas: 4,
    limitedBy: 'ScaleDown',
  },
  {
    name: 'zero after idleAfter of quiet',
    state: { replicas: 3, ...knows, idleSinceMs: 870_000 },
    policy: { minReplicas: 0 },
    replicas: 0,
  },
  {
    name: 'not zero before idleAfter has passed',
    state: { replicas: 1, ...knows, idleSinceMs: 900_000 },
    policy: { minReplicas: 0 },
    replicas: 1,
  },
  {
    name: 'not zero while an entry is being worked on',
    state: { replicas: 1, ...knows, idleSinceMs: 800_000 },
    sample: { pending: 1 },
    policy: { minReplicas: 0 },
    replicas: 1,
  },
  {
    name: 'not zero while entries come and are settled between samples',
    state: { replicas: 1, ...knows, idleSinceMs: 800_000, arrivals: [{ atMs: 995_000, added: 5 }] },
    sample: { entriesAdded: 6 },
    policy: { minReplicas: 0 },
    replicas: 1,
  },
  {
    name: 'quarantined entries do not keep a pipeline from zero',
    state: { replicas: 1, ...knows, idleSinceMs: 800_000 },
    sample: { pending: 3, quarantined: 3, oldestAgeMs: 0 },
    policy: { minReplicas: 0 },
    replicas: 0,
  },
  {
    name: 'asleep, remembered arrivals do not wake',
    state: {
      replicas: 0,
      ...knows,
      arrivals: [
        { atMs: 800_000, added: 0 },
        { atMs: 995_000, added: 9_000 },
      ],
    },
    sample: { entriesAdded: 9_000 },
    policy: { minReplicas: 0 },
    replicas: 0,
  },
  {
    name: 'the first entry wakes',
    state: { replicas: 0 },
    sample: { undelivered: 1 },
    policy: { minReplicas: 0 },
    replicas: 1,
  },
  {
    name: 'a backlog wakes straight to what it needs',
    state: { replicas: 0, ...knows },
    sample: { undelivered: 9_000 },
    policy: { minReplicas: 0 },
    replicas: 6,
  },
  { name: 'suspend outranks everything', state: { replicas: 4 }, policy: { suspend: true }, replicas: 0, limitedBy: 'Suspend' },
  {
    name: 'Manual obeys spec.replicas and recommends',
    state: { replicas: 1, ...knows },
    sample: { undelivered: 6_000, undeliveredAgeMs: 1_000, consumers: consumers(1) },
    policy: { policy: 'Manual', replicas: 2 },
    replicas: 2,
    limitedBy: 'Manual',
    reason: /^policy Manual: 2 \(recommended 4: /,
  },
  {
    name: 'mode Direct drains to zero whatever the minimum says',
    state: { replicas: 2, ...knows, idleSinceMs: 800_000 },
    policy: { mode: 'Direct', minReplicas: 2 },
    replicas: 0,
  },
  {
    name: 'mode Direct, drained, outranks Manual',
    state: { replicas: 0, ...knows },
    policy: { mode: 'Direct', policy: 'Manual', replicas: 3 },
    replicas: 0,
  },
  {
    name: 'ids that are not times size by count alone',
    state: { replicas: 1, ...knows },
    sample: { undelivered: 6_000, timeIds: false, consumers: consumers(1) },
    replicas: 4,
    reason: /6000 entries wait \(their ids are not times\)/,
  },
]

fc.configureGlobal({ seed })

describe('decide', () => {
  for (const row of rows) {
    it(row.name, () => {
      const state = row.state === undefined ? undefined : stateWith(row.state)
      const missing = 'sample' in row && row.sample === undefined
      const decision = decide(state, missing ? undefined : sampleWith(row.sample ?? {}), policyWith(row.policy ?? {}))
      assert.equal(decision.replicas, row.replicas, decision.reason)
      assert.equal(decision.limitedBy, row.limitedBy, decision.reason)
      if (row.reason !== undefined) assert.match(decision.reason, row.reason)
    })
  }

  it('learns what one replica clears while a backlog lasts', () => {
    let state: ScalingState | undefined
    for (let tick = 0; tick < 6; tick++) {
      const atMs = 1_000_000 + tick * 2_000
      const beat = { forwarded: tick * 500, at: atMs }
      const sample = sampleWith({
        atMs,
        undelivered: 5_000 - tick * 500,
        undeliveredAgeMs: 10_000,
        entriesAdded: 5_000,
        consumers: consumers(1, beat),
      })
      state = decide(state, sample, policyWith({ maxReplicas: 1 })).state
    }
    assert.equal(Math.round(state?.capacity.perSecond ?? 0), 250)
  })

  it('learns how long replicas take to start', () => {
    const first = decide(
      stateWith({ replicas: 1, ...knows }),
      sampleWith({ undelivered: 6_000, consumers: consumers(1) }),
      policyWith(),
    )
    assert.equal(first.replicas, 4)
    const second = decide(first.state, sampleWith({ atMs: 1_008_000, consumers: consumers(4, { at: 1_008_000 }) }), policyWith())
    assert.equal(second.state.startUp.typicalMs, 8_000)
  })
})

describe('decide, for any history', () => {
  const policies = fc
    .record({
      minReplicas: fc.integer({ min: 0, max: 5 }),
      maxReplicas: fc.integer({ min: 1, max: 40 }),
      targetAgeMs: fc.integer({ min: 1_000, max: 120_000 }),
      scaleDownDelayMs: fc.option(fc.integer({ min: 0, max: 600_000 }), { nil: undefined }),
      idleAfterMs: fc.integer({ min: 0, max: 300_000 }),
      onMetricsLoss: fc.constantFrom<'Hold' | 'Max' | number>('Hold', 'Max', 3),
    })
    .filter((policy) => policy.minReplicas <= policy.maxReplicas)
    .map((policy) => policyWith(policy))
  const steps = fc.record({
    missing: fc.boolean(),
    afterMs: fc.integer({ min: -2_000, max: 60_000 }),
    undelivered: fc.integer({ min: 0, max: 100_000 }),
    ageMs: fc.integer({ min: 0, max: 300_000 }),
    orphaned: fc.integer({ min: 0, max: 1_000 }),
    pending: fc.integer({ min: 0, max: 1_000 }),
    added: fc.integer({ min: 0, max: 50_000 }),
    settled: fc.integer({ min: 0, max: 5_000 }),
    ready: fc.integer({ min: 0, max: 40 }),
    queueWaiting: fc.integer({ min: 0, max: 60_000 }),
  })
  type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never
  const histories = fc.array(steps, { maxLength: 30 })

  function samplesOf(history: readonly Step[]): (Sample | undefined)[] {
    let atMs = 1_000_000
    let added = 0
    let settled = 0
    return history.map((step) => {
      atMs += step.afterMs
      added += step.added
      settled += step.settled
      if (step.missing) return undefined
      return sampleWith({
        atMs,
        undelivered: step.undelivered,
        undeliveredAgeMs: step.undelivered === 0 ? 0 : step.ageMs,
        orphaned: step.orphaned,
        pending: step.orphaned + step.pending,
        entriesAdded: added,
        queueWaiting: step.queueWaiting,
        consumers: consumers(step.ready, { forwarded: settled, at: atMs }),
      })
    })
  }
  const run = (samples: readonly (Sample | undefined)[], policy: ScalingPolicy) =>
    samples.reduce<ScalingState | undefined>((state, sample) => decide(state, sample, policy).state, undefined)

  it('stays within the bounds', () => {
    fc.assert(
      fc.property(histories, policies, (history, policy) => {
        let state: ScalingState | undefined
        for (const sample of samplesOf(history)) {
          const decision = decide(state, sample, policy)
          assert.ok(decision.replicas >= policy.minReplicas && decision.replicas <= policy.maxReplicas, decision.reason)
          assert.ok(Number.isInteger(decision.replicas))
          state = decision.state
        }
      }),
    )
  })

  it('never runs to the maximum while no replica becomes ready', () => {
    fc.assert(
      fc.property(histories, policies, fc.boolean(), (history, policy, isKnown) => {
        let state: ScalingState | undefined = isKnown ? stateWith({ ...knows, atMs: 900_000 }) : undefined
        const none = samplesOf(
          history.map((step) => ({
            ...step,
            ready: 0,
            missing: step.missing && !isKnown,
            afterMs: Math.max(1_000, step.afterMs),
          })),
        )
        let asked = 0
        for (const sample of none) {
          const { replicas, state: next } = decide(state, sample, { ...policy, onMetricsLoss: 'Hold' })
          // What a known speed needs is asked for while the first ones may be starting.
          if (!isKnown) assert.ok(replicas <= Math.max(1, policy.minReplicas))
          const isStuck = state?.startUp.awaiting !== undefined && (sample?.atMs ?? 0) - state.startUp.awaiting.sinceMs > 15_000
          if (isStuck) assert.ok(replicas <= Math.max(asked, policy.minReplicas), `${asked} -> ${replicas}`)
          asked = replicas
          state = next
        }
      }),
    )
  })

  it('never shrinks without a sample', () => {
    fc.assert(
      fc.property(histories, policies, fc.integer({ min: 1, max: 5 }), (history, policy, misses) => {
        let state = run(samplesOf(history), policy)
        for (let i = 0; i < misses; i++) {
          const before: number = state?.replicas ?? 0
          state = decide(state, undefined, policy).state
          assert.ok(state.replicas >= before)
        }
      }),
    )
  })

  it('decides the same whatever is quarantined, as long as anything succeeds', () => {
    fc.assert(
      fc.property(
        fc.array(
          steps.map((step) => ({ ...step, settled: step.settled + 1 })),
          { maxLength: 30 },
        ),
        policies,
        fc.integer({ min: 1, max: 1_000 }),
        fc.nat(1_000_000),
        (history, policy, poison, ageMs) => {
          const clean = samplesOf(history)
          const poisoned = clean.map(
            (sample) =>
              sample && {
                ...sample,
                pending: sample.pending + poison,
                quarantined: poison,
                deadLetters: poison,
                pendingAgeMs: ageMs,
                oldestAgeMs: Math.max(sample.oldestAgeMs, ageMs),
              },
          )
          assert.deepEqual(run(poisoned, policy), run(clean, policy))
        },
      ),
    )
  })

  it('asks for no fewer when there is more work', () => {
    fc.assert(
      fc.property(histories, steps, policies, fc.nat(50_000), fc.nat(60_000), (history, last, policy, more, older) => {
        const samples = samplesOf([...history, { ...last, missing: false }])
        const sample = samples.pop()
        assert.ok(sample !== undefined)
        const state = run(samples, policy)
        const heavier = {
          ...sample,
          undelivered: sample.undelivered + more,
          undeliveredAgeMs: sample.undeliveredAgeMs + (more > 0 || sample.undelivered > 0 ? older : 0),
        }
        assert.ok(decide(state, heavier, policy).replicas >= decide(state, sample, policy).replicas)
      }),
    )
  })

  it('decides the same after its state went through JSON', () => {
    fc.assert(
      fc.property(histories, policies, (history, policy) => {
        let kept: ScalingState | undefined
        let stored: ScalingState | undefined
        for (const sample of samplesOf(history)) {
          kept = decide(kept, sample, policy).state
          stored = JSON.parse(JSON.stringify(decide(stored, sample, policy).state)) as ScalingState
        }
        assert.deepEqual(stored, kept)
      }),
    )
  })
})
