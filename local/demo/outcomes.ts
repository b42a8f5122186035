/** The outcome of every entry that the demo added: arithmetic over measured counts. */
import { jobId } from '../../redis/keys.ts'

export interface Measured {
  /** Scope of the pipeline, which job ids carry. */
  readonly scope: string
  /** Entries the stream has accepted during the run, by its own counter. */
  readonly entries: number
  /** Key hashes of the valid requests that were accepted. */
  readonly keys: readonly string[]
  /** Executions by job id, counted by the worker. */
  readonly executions: readonly (readonly [string, number])[]
  /** Jobs that the worker left alone because their key had been executed. */
  readonly skipped: number
  /** Key hash of each dead letter, empty where the payload had none. */
  readonly deadKeys: readonly string[]
  readonly maxReplicas: number
}

export interface Outcomes {
  /** Entries the stream accepted. */
  readonly entries: number
  /** Distinct idempotency keys among the valid ones. */
  readonly uniqueKeys: number
  /** Keys whose job was executed. */
  readonly jobs: number
  /** Executions beyond one per key. */
  readonly duplicateJobs: number
  readonly deadLetters: number
  /** Valid keys neither executed nor dead-lettered. */
  readonly lost: number
  /** Most consumers that took entries at the same time. */
  readonly maxReplicas: number
  /** Jobs that came again after their key had been executed, and were not run: a worker's crash or Redis's. */
  readonly skippedJobs: number
}

export function outcomesOf(measured: Measured): Outcomes {
  const executions = new Map(measured.executions)
  const dead = new Set(measured.deadKeys)
  const keys = new Set(measured.keys)
  let [jobs, runs, lost] = [0, 0, 0]
  for (const key of keys) {
    const count = executions.get(jobId(measured.scope, key)) ?? 0
    runs += count
    if (count > 0) jobs++
    else if (!dead.has(key)) lost++
  }
  return {
    entries: measured.entries,
    uniqueKeys: keys.size,
    jobs,
    duplicateJobs: runs - jobs,
    deadLetters: measured.deadKeys.length,
    lost,
    maxReplicas: measured.maxReplicas,
    skippedJobs: measured.skipped,
  }
}
