/**
 * The facts that conditions use: the findings of a reconcile for one generation of the spec. A look at Redis for another spec does not
 * count: it may have been at another server.
 */
import { deploymentType, podType } from '../plan/kinds.ts'
import type { DarkKind, Observation, Observed } from '../plan/observed.ts'
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
/** Looks that fail come every half minute. Where many pipelines share a silent server, each waits for its turn, too. */
const failedLooks = 24

export function isOldLook(observed: Observed, nowMs: number): boolean {
  return observed.observation.kind === 'Seen' && lookAgeMs(observed, nowMs) > intervalMs(observed)
}

const intervalMs = ({ settings }: Observed): number => Math.max(freshMs, settings.observeEveryMs)

/** The look at the Redis of this spec; none if the last look was for another spec, or long ago. */
export function lookOf(observed: Observed, nowMs: number): Observation {
  const { observation } = observed
  if (observation.kind === 'None' || observation.generation !== generationOf(observed)) return noLook
  const missed = observation.kind === 'Seen' ? missedLooks : failedLooks
  return lookAgeMs(observed, nowMs) > missed * intervalMs(observed) ? noLook : observation
}

function lookAgeMs({ observation }: Observed, nowMs: number): number {
  return observation.kind === 'None' ? 0 : nowMs - (observation.atMs ?? nowMs)
}

/**
 * Deployments or pods can no longer be watched: what was last seen of them shows nothing. Deployments that were never listed show nothing
 * either, unless this process wrote the one of the pipeline.
 */
export function unwatchedOf({ dark = [], deployment }: Observed): DarkKind | undefined {
  return dark.find(
    ({ kind, known }) =>
      (kind === deploymentType.kind && (known || deployment === undefined)) || (kind === podType.kind && known),
  )
}

export function factsOf(observed: Observed, replicas: number, nowMs: number): Facts {
  const { deployment, template } = observed
  const isBlind = unwatchedOf(observed) !== undefined
  const rollout = isBlind ? undefined : deployment && rolloutOf(deployment, template)
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
