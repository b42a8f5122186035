/**
 * The facts that conditions use: the findings of a reconcile for one generation of the spec. A look at Redis for another spec does not
 * count: it may have been at another server.
 */
import { deploymentType, podType } from '../plan/kinds.ts'
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
  /** Undefined: the Deployment does not exist, or cannot be watched. */
  readonly rollout: Rollout | undefined
  /** Causes that keep pods from running, most telling first. */
  readonly obstacles: readonly Obstacle[]
  readonly nowMs: number
}

const noLook: Observation = { kind: 'None' }

function generationOf({ object }: Observed): number {
  return object.metadata.generation ?? 0
}

/** Looks missed in a row after which nothing is known of Redis: the processes that look have ended. */
const missedLooks = 6
/** A status rests on no look that is older, unless looks are rarer. */
const freshMs = 5_000

export function isOldLook(observed: Observed, nowMs: number): boolean {
  return lookAgeMs(observed, nowMs) > Math.max(freshMs, observed.settings.observeEveryMs)
}

/** The look at the Redis of this spec; none if the last look was for another spec, or long ago. */
export function lookOf(observed: Observed, nowMs: number): Observation {
  const { observation } = observed
  if (observation.kind === 'None' || observation.generation !== generationOf(observed)) return noLook
  return lookAgeMs(observed, nowMs) > missedLooks * Math.max(freshMs, observed.settings.observeEveryMs) ? noLook : observation
}

/** Age of a look that worked. A failed look ages no further: the next one may be half a minute away. */
function lookAgeMs({ observation }: Observed, nowMs: number): number {
  return observation.kind === 'Seen' ? nowMs - (observation.atMs ?? nowMs) : 0
}

/** Deployments or pods can no longer be watched: what was last seen of them shows nothing. */
function isUnwatched({ dark = [] }: Observed): boolean {
  return dark.some(({ kind, known }) => known && (kind === deploymentType.kind || kind === podType.kind))
}

export function factsOf(observed: Observed, replicas: number, nowMs: number): Facts {
  const { deployment, templateGeneration } = observed
  const isBlind = isUnwatched(observed)
  const rollout = isBlind ? undefined : deployment && rolloutOf(deployment, templateGeneration)
  return {
    observed,
    generation: generationOf(observed),
    replicas,
    ready: deployment?.status?.readyReplicas ?? 0,
    look: lookOf(observed, nowMs),
    rollout,
    obstacles: isBlind ? [] : obstaclesOf(observed, rollout, replicas, nowMs),
    nowMs,
  }
}
