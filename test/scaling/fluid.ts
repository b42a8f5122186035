/**
 * A pipeline without chance, five seconds a step: entries flow in, ready replicas clear them, a start takes some steps. What `decide`
 * sees of it is a sample as `observe` would make it.
 */
import { type Decision, decide } from '../../scaling/decide.ts'
import type { ScalingPolicy } from '../../scaling/policy.ts'
import type { Sample } from '../../scaling/sample.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { policyWith, sampleWith } from './builders.ts'

export const stepMs = 5_000

interface Replica {
  readonly id: number
  readonly readyMs: number
  settled: number
}

export interface Fluid {
  /** Entries per second of one replica. */
  readonly speed: number
  readonly startMs: number
  atMs: number
  added: number
  waiting: number
  ids: number
  replicas: Replica[]
}

export function fluidWith(replicas: number, over: Partial<Fluid> = {}): Fluid {
  const made = Array.from({ length: replicas }, (_, id) => ({ id, readyMs: 0, settled: 1_000 }))
  return { speed: 20, startMs: 10_000, atMs: 1_000_000_000, added: 100_000, waiting: 0, ids: replicas, replicas: made, ...over }
}

/** Lets one step pass under a Deployment of so many replicas. */
export function flow(fluid: Fluid, perSecond: number, deployed: number): void {
  while (fluid.replicas.length < deployed) {
    fluid.replicas.push({ id: fluid.ids++, readyMs: fluid.atMs + fluid.startMs, settled: 0 })
  }
  fluid.replicas = fluid.replicas.slice(0, deployed)
  const came = Math.round((perSecond * stepMs) / 1000)
  const ready = fluid.replicas.filter(({ readyMs }) => readyMs <= fluid.atMs)
  const most = Math.floor((ready.length * fluid.speed * stepMs) / 1000)
  const settled = Math.min(most, fluid.waiting + came)
  for (const [i, replica] of ready.entries()) {
    replica.settled += Math.floor(settled / ready.length) + (i < settled % ready.length ? 1 : 0)
  }
  fluid.atMs += stepMs
  fluid.added += came
  fluid.waiting += came - settled
}

export function sampleOf(fluid: Fluid, perSecond: number): Sample {
  const { atMs, waiting } = fluid
  return sampleWith({
    atMs,
    undelivered: waiting,
    undeliveredAgeMs: waiting === 0 ? 0 : Math.round((waiting * 1000) / Math.max(0.1, perSecond)),
    entriesAdded: fluid.added,
    consumers: fluid.replicas
      .filter(({ readyMs }) => readyMs <= atMs)
      .map(({ id, settled }) => ({
        name: `ndvi-${id}`,
        uid: `uid-${id}`,
        pending: 0,
        idleMs: 0,
        heartbeat: {
          uid: `uid-${id}`,
          at: atMs,
          state: 'Running',
          inFlight: 0,
          serviceMs: settled === 0 ? 0 : 1000 / fluid.speed,
          path: 'Portable',
          forwarded: settled,
          duplicates: 0,
          dead: 0,
          reclaimed: 0,
        },
      })),
  })
}

export interface Step {
  readonly perSecond: number
  readonly sample: Sample
  /** The Deployment's number when the sample was taken. */
  readonly deployed: number
  readonly before: ScalingState | undefined
  readonly decision: Decision
}

/** Scales by `decide` for so many steps. @param rateAt entries per second, by step */
export function scaled(
  fluid: Fluid,
  steps: number,
  rateAt: (step: number) => number,
  options: { readonly state?: ScalingState | undefined; readonly policy?: (step: number) => Partial<ScalingPolicy> } = {},
): Step[] {
  const { policy = () => ({}) } = options
  let { state } = options
  let deployed = fluid.replicas.length
  return Array.from({ length: steps }, (_, step) => {
    const perSecond = rateAt(step)
    flow(fluid, perSecond, deployed)
    const sample = sampleOf(fluid, perSecond)
    const before = state
    const decision = decide(state, sample, fluidPolicy({ ...policy(step), currentReplicas: deployed }))
    const taken = { perSecond, sample, deployed, before, decision }
    state = decision.state
    deployed = decision.replicas
    return taken
  })
}

export const fluidPolicy = (over: Partial<ScalingPolicy>): ScalingPolicy =>
  policyWith({ maxReplicas: 60, targetAgeMs: 30_000, scaleDownDelayMs: undefined, ...over })

/** What keeps up with so many entries per second. */
export const neededFor = ({ speed }: Fluid, perSecond: number): number => Math.ceil(perSecond / speed - 1e-9)
