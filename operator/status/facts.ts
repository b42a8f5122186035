/**
 * The facts that conditions use: the findings of a reconcile for one generation of the spec. A look at Redis for another spec does not
 * count: it may have been at another server.
 */
import type { Observation, Observed } from '../plan/observed.ts'
import { type Obstacle, obstaclesOf } from './obstacles.ts'
import { type Rollout, rolloutOf } from './rollout.ts'

export interface Facts {
  readonly observed: Observed
  readonly generation: number
  /** Consumers that should run. */
  readonly replicas: number
  readonly ready: number
  /** The look at the Redis of this spec. */
  readonly look: Observation
  /** Undefined: the Deployment does not exist. */
  readonly rollout: Rollout | undefined
  /** Causes that keep pods from running, most telling first. */
  readonly obstacles: readonly Obstacle[]
  readonly nowMs: number
}

const noLook: Observation = { kind: 'None' }

function generationOf({ object }: Observed): number {
  return object.metadata.generation ?? 0
}

/** The look at the Redis of this spec; none if the last look was for another spec. */
export function lookOf(observed: Observed): Observation {
  const { observation } = observed
  return observation.kind !== 'None' && observation.generation === generationOf(observed) ? observation : noLook
}

export function factsOf(observed: Observed, replicas: number, nowMs: number): Facts {
  const { deployment, templateGeneration } = observed
  const rollout = deployment && rolloutOf(deployment, templateGeneration)
  return {
    observed,
    generation: generationOf(observed),
    replicas,
    ready: deployment?.status?.readyReplicas ?? 0,
    look: lookOf(observed),
    rollout,
    obstacles: obstaclesOf(observed, rollout, replicas, nowMs),
    nowMs,
  }
}
