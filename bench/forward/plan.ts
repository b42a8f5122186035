/** The measurements of a run of the bench, and their sizes. */
import type { Contender } from './measure.ts'
import { type PayloadKind, timedPayloads } from './workload.ts'

export interface Plan {
  readonly payloads: readonly PayloadKind[]
  /** Alternating rounds; every contender once in each. */
  readonly rounds: number
  readonly loopback: Counts
  readonly distant: Counts
  readonly latencyMs: number
  /** Entries of 256 KiB, for memory. */
  readonly large: number
}

/** Jobs per measurement; a contender without a number is not measured there. */
export type Counts = Readonly<Partial<Record<Contender, number>>>

export const roundTripMs = 2

export const fullPlan: Plan = {
  payloads: timedPayloads,
  rounds: 7,
  loopback: { article: 8_000, addBulk: 60_000, 'addBulk x3': 60_000, streampipeline: 60_000 },
  distant: { article: 600, streampipeline: 60_000 },
  latencyMs: 8_000,
  large: 1_000,
}

/** Within two minutes. */
export const quickPlan: Plan = {
  payloads: ['1KiB'],
  rounds: 5,
  loopback: { article: 3_000, addBulk: 25_000, streampipeline: 25_000 },
  distant: { article: 220, streampipeline: 25_000 },
  latencyMs: 3_000,
  large: 300,
}
