/** Replicas as the Deployment makes them: they start, run, drain, crash and are replaced. */

export interface Pod {
  readonly id: number
  readonly readyAt: number
  /** Of which rollout. */
  readonly version: number
  state: 'Starting' | 'Running' | 'Draining' | 'Gone'
  readonly slots: number[]
  crashAt: number
  /** The counters of its heartbeat. */
  settled: number
  serviceMs: number
}

export const isServing = (pod: Pod): boolean => pod.state === 'Starting' || pod.state === 'Running'

/** Counted when replicas change, not every second. */
export interface Census {
  /** When one becomes ready or crashes, at the earliest. */
  readonly dueAt: number
  readonly ready: number
  readonly serving: number
  readonly draining: number
  /** Those that serve and are of an older rollout. */
  readonly old: number
}

export function census(pods: readonly Pod[], version: number): Census {
  let dueAt = Number.POSITIVE_INFINITY
  let [ready, serving, draining, old] = [0, 0, 0, 0]
  for (const pod of pods) {
    if (pod.state === 'Draining') draining++
    if (!isServing(pod)) continue
    serving++
    if (pod.state === 'Running') ready++
    if (pod.version < version) old++
    dueAt = Math.min(dueAt, pod.state === 'Starting' ? pod.readyAt : pod.crashAt)
  }
  return { dueAt, ready, serving, draining, old }
}
