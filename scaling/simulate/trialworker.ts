/** A thread that runs trials. A trial is one scenario with one seed under all controllers. */
import { parentPort } from 'node:worker_threads'
import { runTrial } from './compare.ts'
import type { Scenario } from './scenario.ts'

export interface Task {
  readonly id: number
  readonly scenario: Scenario
  readonly seed: number
}

parentPort?.on('message', ({ id, scenario, seed }: Task) => {
  parentPort?.postMessage({ id, trial: runTrial(scenario, seed) })
})
