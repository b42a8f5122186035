/** The measurements of a run of the bench, and their sizes. */
import type { DispatchPlan } from '../library/dispatch.ts'
import type { Contender } from './contenders.ts'
import type { PayloadKind } from './workload.ts'

export type Distance = 'loopback' | '2ms'

export interface CurvePlan {
  readonly rounds: number
  /** Shares of the measured peak. */
  readonly loads: readonly number[]
  readonly loadMs: number
  readonly batchSizes: readonly number[]
  readonly roundTripsMs: readonly number[]
  readonly roundTripContenders: readonly Contender[]
  readonly consumers: readonly number[]
}

export interface Plan {
  readonly name: 'quick' | 'full'
  readonly payloads: readonly PayloadKind[]
  /** Alternating rounds; every contender once in each. */
  readonly rounds: number
  readonly contenders: Readonly<Record<Distance, readonly Contender[]>>
  /** Part of the jobs of a measurement of the full form. */
  readonly jobShare: number
  readonly latency: { readonly rounds: number; readonly forMs: number }
  readonly dispatch: DispatchPlan
  /** Fresh processes that import the library. */
  readonly firstUses: number
  /** Entries of 256 KiB, for memory. */
  readonly large: number
  readonly curves?: CurvePlan
  /** Less than the form's own size: too little to judge by. */
  readonly reduced?: true
}

export const roundTripMs = 2

/** The measurements of all figures that have bars (bars.ts); within three minutes on a quiet machine. */
export const quickPlan: Plan = {
  name: 'quick',
  payloads: ['1KiB'],
  rounds: 5,
  contenders: { loopback: ['streampipeline', 'addBulk', 'addBulk x3', 'article'], '2ms': ['streampipeline', 'article'] },
  jobShare: 0.35,
  latency: { rounds: 5, forMs: 1_500 },
  dispatch: { rounds: 5, singles: 500, distantSingles: 60, batches: 20 },
  firstUses: 5,
  large: 300,
}

const allContenders: readonly Contender[] = [
  'streampipeline',
  'addBulk',
  'addBulk x3',
  'queue to queue',
  'moleculer channels',
  'article',
  'article in Python',
]

/** Within an hour. */
export const fullPlan: Plan = {
  name: 'full',
  payloads: ['1KiB', '200B', '64KiB'],
  rounds: 5,
  contenders: { loopback: allContenders, '2ms': allContenders },
  jobShare: 1,
  latency: { rounds: 5, forMs: 8_000 },
  dispatch: { rounds: 7, singles: 2_000, distantSingles: 200, batches: 40 },
  firstUses: 7,
  large: 1_000,
  curves: {
    rounds: 3,
    loads: [0.1, 0.25, 0.5, 0.75, 0.9],
    loadMs: 4_000,
    batchSizes: [10, 25, 50, 100, 250, 500, 1_000],
    roundTripsMs: [0, 1, 2, 10],
    roundTripContenders: ['streampipeline', 'addBulk', 'addBulk x3', 'article'],
    consumers: [1, 2, 3],
  },
}

/** The plan with a part of its work. Throws RangeError for a size that is none. */
export function reduced(plan: Plan, { scale, rounds }: { readonly scale: number; readonly rounds: number | undefined }): Plan {
  if (!(scale > 0 && scale <= 1)) throw new RangeError('--scale is a number above 0, and 1 at most')
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
    throw new RangeError('--rounds is a whole number above 0')
  if (scale === 1 && rounds === undefined) return plan
  const times = rounds ?? plan.rounds
  const part = (count: number) => Math.max(1, Math.round(count * scale))
  const { singles, distantSingles, batches } = plan.dispatch
  return {
    ...plan,
    payloads: plan.payloads.slice(0, 1),
    rounds: times,
    jobShare: plan.jobShare * scale,
    latency: { rounds: times, forMs: part(plan.latency.forMs) },
    dispatch: { rounds: times, singles: part(singles), distantSingles: part(distantSingles), batches: part(batches) },
    firstUses: times,
    // Fewer are a single batch, which shows no rate and no peak.
    large: Math.max(quickPlan.large, part(plan.large)),
    ...(plan.curves && { curves: { ...plan.curves, rounds: times, loadMs: part(plan.curves.loadMs) } }),
    reduced: true,
  }
}

/** Jobs of 1 KiB in about two seconds, on loopback and at 2 ms. */
const jobs: Readonly<Record<Contender, Readonly<Record<Distance, number>>>> = {
  streampipeline: { loopback: 60_000, '2ms': 60_000 },
  addBulk: { loopback: 60_000, '2ms': 40_000 },
  'addBulk x3': { loopback: 60_000, '2ms': 60_000 },
  article: { loopback: 8_000, '2ms': 600 },
  'article in Python': { loopback: 3_000, '2ms': 400 },
  'moleculer channels': { loopback: 20_000, '2ms': 4_000 },
  'queue to queue': { loopback: 16_000, '2ms': 10_000 },
}

/** A job of 64 KiB takes as much of Redis' memory as sixty jobs of 1 KiB, and as much of its time as ten. */
const largeShare = 0.05
/** Of contenders that add one after the other, and of those that add batches: several batches must follow the first tenth. */
const fewestJobs = { waits: 100, batches: 1_500 }

/** Jobs of one measurement. Contenders that wait for each reply get fewer jobs if the round trip is beyond 2 ms. */
export function jobsOf(plan: Plan, contender: Contender, payload: PayloadKind, tripMs: number): number {
  const distance = tripMs === 0 ? 'loopback' : '2ms'
  const waits = contender === 'article' || contender === 'article in Python'
  const tripShare = waits && tripMs > roundTripMs ? roundTripMs / tripMs : 1
  const share = plan.jobShare * (payload === '64KiB' && !waits ? largeShare : 1) * tripShare
  return Math.max(waits ? fewestJobs.waits : fewestJobs.batches, Math.round(jobs[contender][distance] * share))
}
