/** Replicas that a load needs survive a restart at any moment, whatever was stored, and a change of policy. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decide } from '../../scaling/decide.ts'
import { isSuperseded, resumed } from '../../scaling/resume.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { parseScalingState } from '../../scaling/storedstate.ts'
import { seed } from '../support/seed.ts'
import { consumers, policyWith, sampleWith, stateWith } from './builders.ts'
import { type Fluid, fluidPolicy, fluidWith, neededFor, scaled } from './fluid.ts'

fc.configureGlobal({ seed })

const knows = { capacity: { perSecond: 100, entries: 1_000, marks: {} } }
const stored = (state: ScalingState): ScalingState | undefined => parseScalingState(JSON.stringify(state))

/** A load that grows from a calm one, by so much a step, for some steps. */
const ramps = fc.record({
  calm: fc.integer({ min: 5, max: 100 }),
  growth: fc.integer({ min: 0, max: 60 }),
  calmSteps: fc.integer({ min: 12, max: 30 }),
  rampSteps: fc.integer({ min: 1, max: 20 }),
  startMs: fc.constantFrom(0, 5_000, 10_000, 30_000),
})
type Ramp = typeof ramps extends fc.Arbitrary<infer T> ? T : never

const rateOf =
  ({ calm, growth, calmSteps, rampSteps }: Ramp) =>
  (step: number): number =>
    calm + growth * Math.max(0, Math.min(rampSteps, step - calmSteps))
const fluidOf = ({ calm, startMs }: Ramp): Fluid => fluidWith(Math.ceil(calm / 15), { startMs })

describe('a state that another process left', () => {
  it('starts from what the Deployment runs, where that is more', () => {
    const old = stateWith({ atMs: 975_000, replicas: 2, ...knows, startUp: { typicalMs: 8_000 } })
    const sample = sampleWith({ entriesAdded: 6_000, undelivered: 50, undeliveredAgeMs: 400, consumers: consumers(10) })
    const policy = policyWith({ currentReplicas: 10, maxReplicas: 20 })
    const decision = decide(resumed(old, sample, policy), sample, policy)
    assert.equal(decision.replicas, 10)
    assert.match(decision.reason, /hold, the load has been seen for a short time only$/)
  })

  it('knows of more that was decided and not carried out, while it is fresh', () => {
    const sample = sampleWith({ consumers: consumers(3) })
    const policy = policyWith({ currentReplicas: 3 })
    const replicas = (atMs: number) => resumed(stateWith({ atMs, replicas: 5 }), sample, policy).replicas
    assert.deepEqual([replicas(990_000), replicas(800_000), replicas(2_000_000)], [5, 3, 3])
  })

  it('goes on from the larger number that another process decided during a silence', () => {
    const sample = sampleWith({ consumers: consumers(10) })
    const policy = policyWith({ currentReplicas: 10, maxReplicas: 20 })
    const decided = (atMs: number) =>
      decide(stateWith({ atMs, replicas: 2, ...knows, wanted: [{ atMs, replicas: 2 }] }), sample, policy).replicas
    assert.deepEqual([decided(970_000), decided(995_000)], [10, 2])
    assert.ok(!isSuperseded(stateWith({ atMs: 970_000, replicas: 2, deployed: 10 }), sample, policy), 'it ran before, too')
  })

  it('says nothing of times that are still to come', () => {
    const later = 5_000_000
    const state = stateWith({
      replicas: 4,
      idleSinceMs: later,
      lastLateMs: later,
      lastShrinkMs: later,
      wanted: [{ atMs: later, replicas: 9 }],
      rush: [{ atMs: later, replicas: 9 }],
      startUp: { awaiting: { replicas: 4, sinceMs: later } },
      outage: { kind: 'Open', sinceMs: later, entries: 5 },
      arrivals: [{ atMs: later, added: 1 }],
    })
    const again = resumed(state, sampleWith({ consumers: consumers(2) }), policyWith({ currentReplicas: 4 }))
    assert.deepEqual(again, {
      version: 1,
      atMs: 1_000_000,
      sinceMs: 1_000_000,
      replicas: 4,
      recommended: 4,
      misses: 0,
      arrivals: [],
      capacity: { marks: {} },
      startUp: { awaiting: { replicas: 4, sinceMs: 1_000_000, begunBefore: true } },
      wanted: [{ atMs: 1_000_000, replicas: 4, ran: true }],
      rush: [],
    })
  })

  it('keeps a limit behind the consumers only where that takes nothing away', () => {
    const held = (replicas: number, over: object = {}) =>
      resumed(
        stateWith({
          replicas: 6,
          downstream: { kind: 'Held', replicas, perSecond: 100, sinceMs: 900_000, waitMs: 1_200_000, ...over },
        }),
        sampleWith({ consumers: consumers(6) }),
        policyWith({ currentReplicas: 6 }),
      ).downstream?.kind
    assert.deepEqual([held(6), held(5), held(6, { waitMs: 1e15 })], ['Held', undefined, undefined])
  })

  it('is compared with the running consumers before its speed counts', () => {
    const decided = (perSecond: number) => {
      const state = stateWith({ replicas: 4, capacity: { perSecond, entries: 1e9, marks: {} } })
      const sample = sampleWith({
        undelivered: 6_000,
        undeliveredAgeMs: 20_000,
        consumers: consumers(1, { serviceMs: 10, forwarded: 1_000 }),
      })
      const policy = policyWith({ currentReplicas: 1 })
      return decide(resumed(state, sample, policy), sample, policy)
    }
    assert.deepEqual([decided(1e9).replicas, decided(1e-9).replicas, decided(90).replicas], [4, 4, 5])
    assert.deepEqual(decided(1e9).state.capacity.perSecond, undefined)
    assert.deepEqual(decided(90).state.capacity.perSecond, 90)
  })

  it('teaches nothing about starts that were under way', () => {
    const sample = sampleWith({ consumers: consumers(2) })
    const policy = policyWith({ currentReplicas: 4 })
    const state = decide(resumed(stateWith({ replicas: 4, ...knows }), sample, policy), sample, policy).state
    const later = sampleWith({ atMs: 1_001_000, consumers: consumers(4, { at: 1_001_000 }) })
    assert.deepEqual(decide(state, later, policy).state.startUp, {})
  })
})

describe('a restart at any moment of a ramp', () => {
  it('decides the same or more than without one', () => {
    fc.assert(
      fc.property(ramps, (ramp) => {
        for (const { sample, deployed, before, decision } of scaled(
          fluidOf(ramp),
          ramp.calmSteps + ramp.rampSteps + 12,
          rateOf(ramp),
        )) {
          if (before === undefined) continue
          const policy = fluidPolicy({ currentReplicas: deployed })
          const again = decide(resumed(stored(before), sample, policy), sample, policy)
          assert.ok(again.replicas >= decision.replicas, `${again.replicas} < ${decision.replicas}: ${again.reason}`)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('takes nothing away, whichever earlier state it finds', () => {
    fc.assert(
      fc.property(ramps, fc.nat(1_000), fc.nat(1_000), (ramp, at, staleness) => {
        const steps = scaled(fluidOf(ramp), ramp.calmSteps + ramp.rampSteps, rateOf(ramp))
        const index = Math.max(1, steps.length - 1 - (at % 12))
        const { sample, deployed } = steps[index] as (typeof steps)[number]
        const found = steps[Math.max(1, index - (staleness % steps.length))]?.before
        const policy = fluidPolicy({ currentReplicas: deployed })
        const { replicas, reason } = decide(resumed(found && stored(found), sample, policy), sample, policy)
        assert.ok(replicas >= deployed, `${deployed} -> ${replicas}: ${reason}`)
      }),
      { numRuns: 200 },
    )
  })
})

const number = fc.oneof(
  fc.constantFrom(0, 1, 2, 15, 21, 30, 70, 100, 1e6, 1e9, 1e12),
  fc.double({ min: 0, max: 1e12, noNaN: true }),
)
const moments = fc.oneof(
  fc.constantFrom(0, 999_000_000, 1_000_000_000, 1_000_100_000, 8_640_000_000_000_000),
  fc.integer({ min: 999_000_000, max: 1_001_000_000 }),
)
const counts = fc.oneof(fc.constantFrom(0, 1, 2, 60, 1_000_000), fc.integer({ min: 0, max: 100 }))
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const windows = fc.array(fc.record({ atMs: moments, replicas: counts }), { maxLength: 4 })
const limit = { replicas: counts, perSecond: number, best: maybe(number) }

/** Any state that passes the schema. */
const foreign = fc
  .record({
    version: fc.constant(1),
    atMs: maybe(moments),
    replicas: counts,
    recommended: maybe(counts),
    deployed: maybe(counts),
    sinceMs: maybe(moments),
    misses: fc.nat(10),
    arrivals: fc.array(fc.record({ atMs: moments, added: fc.constantFrom(0, 1, 90_000, 100_000, 1e9) }), { maxLength: 6 }),
    capacity: fc.record({
      perSecond: maybe(number),
      entries: maybe(number),
      backlogSinceMs: maybe(moments),
      deepUntilMs: maybe(moments),
      sum: maybe(fc.record({ settled: number, ms: number })),
      serviceMs: maybe(number),
      service: maybe(fc.record({ meanMs: number, entries: number })),
      carried: maybe(fc.constant(true)),
      marks: fc.dictionary(
        fc.constantFrom('uid-0', 'uid-1', 'uid-2'),
        fc.record({ settled: number, succeeded: number, atMs: moments }),
      ),
    }),
    startUp: fc.record({
      typicalMs: maybe(fc.constantFrom(0, 100, 10_000, 300_000)),
      awaiting: maybe(fc.record({ replicas: counts, sinceMs: moments, begunBefore: maybe(fc.constant(true)) })),
    }),
    downstream: maybe(
      fc.oneof(
        fc.record({ kind: fc.constant('Watching'), levels: fc.constant([]), quietUntilMs: maybe(moments), best: maybe(number) }),
        fc.record({ kind: fc.constant('Trimming'), before: counts, cuts: fc.nat(3), ...limit }),
        fc.record({ kind: fc.constant('Held'), sinceMs: moments, waitMs: number, alone: maybe(number), ...limit }),
        fc.record({ kind: fc.constant('Probing'), before: counts, waitMs: number, alone: maybe(number), ...limit }),
      ),
    ),
    outage: maybe(
      fc.oneof(
        fc.record({ kind: fc.constant('Suspected'), sinceMs: moments }),
        fc.record({ kind: fc.constant('Open'), sinceMs: moments, entries: fc.nat(100) }),
        fc.record({ kind: fc.constant('Readmitting'), untilMs: moments, entries: fc.nat(100) }),
      ),
    ),
    wanted: windows,
    rush: windows,
    lastShrinkMs: maybe(moments),
    lastLateMs: maybe(moments),
    idleSinceMs: maybe(moments),
  })
  .map((state) => JSON.stringify(state))

describe('a state that another program wrote', () => {
  it('never takes away replicas that a load needs, then or later', () => {
    fc.assert(
      fc.property(
        foreign,
        fc.integer({ min: 5, max: 400 }),
        fc.constantFrom(0, 5_000, 10_000, 30_000),
        maybe(fc.constantFrom(0, 60_000)),
        (text, perSecond, startMs, scaleDownDelayMs) => {
          const state = parseScalingState(text)
          assert.ok(state !== undefined, text)
          const fluid = fluidWith(0, { startMs })
          const needed = neededFor(fluid, perSecond)
          const deployed = needed + 1
          const running = fluidWith(deployed, { startMs })
          const policy = { currentReplicas: deployed, scaleDownDelayMs }
          const [first] = scaled(running, 1, () => perSecond, { policy: () => policy })
          assert.ok(first !== undefined)
          const begun = resumed(state, first.sample, fluidPolicy(policy))
          const now = decide(begun, first.sample, fluidPolicy(policy))
          assert.ok(now.replicas >= deployed, `${deployed} -> ${now.replicas}: ${now.reason}`)
          for (const { decision } of scaled(running, 120, () => perSecond, {
            state: now.state,
            policy: () => ({ scaleDownDelayMs }),
          })) {
            assert.ok(decision.replicas >= needed, `${needed} needed, ${decision.replicas}: ${decision.reason}`)
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('a change of policy', () => {
  it('to Active goes on from what Manual ran', () => {
    const manual = policyWith({ policy: 'Manual', replicas: 8 })
    const reported = decide(
      stateWith({ replicas: 2, ...knows, wanted: [{ atMs: 995_000, replicas: 2 }] }),
      sampleWith({ consumers: consumers(8) }),
      manual,
    )
    assert.deepEqual([reported.replicas, reported.recommended, reported.state.replicas, reported.state.recommended], [8, 2, 8, 2])
    const later = sampleWith({ atMs: 1_005_000, consumers: consumers(8, { at: 1_005_000 }) })
    const active = decide(reported.state, later, { ...manual, policy: 'Active', currentReplicas: 8 })
    assert.deepEqual([active.replicas, active.limitedBy], [8, 'ScaleDown'])
    assert.match(active.reason, /hold, 8 ran lately$/)
  })

  it('keeps the recommendation apart from what Manual and suspend decide', () => {
    const sample = sampleWith({ undelivered: 6_000, undeliveredAgeMs: 1_000, consumers: consumers(1) })
    const state = stateWith({ replicas: 1, ...knows })
    const { state: kept } = decide(state, sample, policyWith({ policy: 'Manual', replicas: 2, currentReplicas: 1 }))
    assert.deepEqual([kept.replicas, kept.recommended, kept.deployed], [2, 4, 1])
    const suspended = decide(kept, sample, policyWith({ suspend: true, currentReplicas: 2 }))
    assert.deepEqual([suspended.replicas, suspended.recommended, suspended.state.replicas], [0, 4, 0])
  })

  it('takes away nothing that the load needs, whatever it was before', () => {
    const change = fc.record({
      steps: fc.integer({ min: 1, max: 30 }),
      over: fc.oneof(
        fc.integer({ min: 0, max: 30 }).map((more) => ({ policy: 'Manual' as const, more })),
        fc.record({ targetAgeMs: fc.constantFrom(1_000, 30_000, 600_000) }),
        fc.record({ scaleDownDelayMs: fc.constantFrom(0, 60_000, 600_000) }),
        fc.record({ minReplicas: fc.integer({ min: 0, max: 30 }) }),
        fc.record({ maxReplicas: fc.integer({ min: 30, max: 90 }) }),
        fc.record({ idleAfterMs: fc.constantFrom(1_000, 600_000) }),
        fc.constant({}),
      ),
    })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.integer({ min: 5, max: 400 }), (changes, perSecond) => {
        const needed = neededFor(fluidWith(0), perSecond)
        const policies = changes.flatMap(({ steps, over }) => {
          const policy = 'more' in over ? { policy: over.policy, replicas: needed + over.more } : over
          return Array.from({ length: steps }, () => policy)
        })
        const running = fluidWith(needed + 1)
        for (const { decision } of scaled(running, policies.length, () => perSecond, {
          policy: (step) => policies[step] ?? {},
        })) {
          assert.ok(decision.replicas >= needed, `${needed} needed, ${decision.replicas}: ${decision.reason}`)
        }
      }),
      { numRuns: 200 },
    )
  })
})
