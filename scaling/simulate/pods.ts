/** Replicas as the Deployment makes them: they start, run, drain, crash and are replaced. */

export interface Pod {
  readonly id: number
  readonly readyAt: number
  /** Of which rollout. */
  readonly version: number
  state: 'Starting' | 'Running' | 'Draining' | 'Gone'
  readonly slots: number[]
  crashAt: number
  /** What its heartbeat tells. */
  settled: number
  serviceMs: number
}

export const isServing = (pod: Pod): boolean => pod.state === 'Starting' || pod.state === 'Running'
