/** Trials of many scenarios and seeds over all processors. The result does not depend on which thread ran what. */
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { runTrial, type ScenarioResult, summarise, type Trial } from './compare.ts'
import type { Scenario } from './scenario.ts'
import type { Task } from './trialworker.ts'

/** Seeds are 1, 2, 3, … */
export async function runScenarios(scenarios: readonly Scenario[], seeds: number): Promise<ScenarioResult[]> {
  const tasks = scenarios.flatMap((scenario, index) =>
    Array.from({ length: seeds }, (_, i): Task => ({ id: index * seeds + i, scenario, seed: i + 1 })),
  )
  const trials = tasks.length <= 2 ? tasks.map(({ scenario, seed }) => runTrial(scenario, seed)) : await inThreads(tasks)
  return scenarios.map((scenario, index) => summarise(scenario, trials.slice(index * seeds, (index + 1) * seeds)))
}

async function inThreads(tasks: readonly Task[]): Promise<Trial[]> {
  const trials: Trial[] = []
  let next = 0
  // The published command line is JavaScript, with this program beside it.
  const source = new URL(`./trialworker${extname(import.meta.url)}`, import.meta.url)
  const thread = () =>
    new Promise<void>((settle, reject) => {
      const worker = new Worker(source)
      const proceed = () => {
        const task = tasks[next++]
        if (task !== undefined) return worker.postMessage(task)
        worker.terminate().then(() => settle(), reject)
      }
      worker.on('message', ({ id, trial }: { readonly id: number; readonly trial: Trial }) => {
        trials[id] = trial
        proceed()
      })
      worker.once('error', (thrown) => {
        // The others end what they have begun.
        next = tasks.length
        reject(thrown)
      })
      proceed()
    })
  const ended = await Promise.allSettled(Array.from({ length: Math.min(tasks.length, availableParallelism()) }, thread))
  for (const outcome of ended) if (outcome.status === 'rejected') throw outcome.reason
  return trials
}
