/** The state of the simulated cluster at one moment. */
import type { Load } from './load.ts'
import { type Census, census, type Pod } from './pods.ts'
import { type Backlog, createBacklog } from './queue.ts'
import { createRandom, type Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import { createSlots, type Slots } from './slots.ts'

export interface Cluster {
  readonly scenario: Scenario
  readonly load: Load
  readonly random: Random
  readonly slots: Slots
  readonly backlog: Backlog
  pods: Pod[]
  podCount: number
  version: number
  desired: number
  /** When the downstream takes its next entry. */
  grantedAt: number
  /** Jobs in the queue at `queueAt`. */
  queued: number
  queueAt: number
  inFlight: number
  /** Of `pods`, by their `version`. */
  pace: Census
  /** Seconds each entry waited until it was taken for the last time. */
  readonly waits: Float32Array
  /** Entries settled, by second. */
  readonly settled: Int32Array
}

export function createCluster(scenario: Scenario, load: Load, seed: number): Cluster {
  return {
    scenario,
    load,
    random: createRandom(seed, 'cluster'),
    slots: createSlots(),
    backlog: createBacklog(),
    pods: [],
    podCount: 0,
    version: 0,
    desired: scenario.initialReplicas ?? scenario.scaling.minReplicas,
    grantedAt: 0,
    queued: 0,
    queueAt: 0,
    inFlight: 0,
    pace: census([], 0),
    waits: new Float32Array(load.arrivals.length).fill(Number.NaN),
    settled: new Int32Array(Math.ceil(scenario.duration)),
  }
}
