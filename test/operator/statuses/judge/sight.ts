/** A status beside what could be seen when it was sent: every state of the last five seconds, and the last looks at Redis. */
import type { Condition, ConditionType, StreamPipelineStatus } from '../../../../api/status.ts'
import type { Stored } from '../apiserver.ts'
import type { DeploymentSpec, DeploymentStatus } from '../deployments.ts'
import type { HeartbeatsRead, LookTruth, ServerTruth, StreamTruth } from '../redis.ts'
import { type Spec, serverOf, specOf, streamOf } from '../specs.ts'
import type { RefusedWrite, Truth } from '../world.ts'

export interface Sight {
  readonly atMs: number
  readonly status: StreamPipelineStatus
  readonly before: StreamPipelineStatus | undefined
  readonly generation: number
  /** Of that generation. */
  readonly spec: Spec
  /** Since when that generation has been there. */
  readonly sinceMs: number
  /** Since when all looks have been at this stream of this Redis. */
  readonly placeSinceMs: number
  /** Each fact in the status was true at some moment of this span. */
  readonly withinMs: number
  /** States of that time. */
  readonly fresh: readonly Truth[]
  /** States since the last try of something that is tried seldom after failures. */
  readonly long: readonly Truth[]
  /** Every state between two times. */
  readonly statesOf: (fromMs: number, toMs: number) => readonly Truth[]
  readonly looks: readonly LookTruth[]
  readonly heartbeats: readonly HeartbeatsRead[]
  readonly refused: readonly RefusedWrite[]
  /** The network between operator and API server failed within the last minutes. */
  readonly mayStillFail: boolean
  /** The last start of an operator. */
  readonly startMs: number
}

/** Five seconds, and the jitter of a look every five seconds. */
export const freshMs = 5_500
/** Looks that fail come every half minute; rights, claims and references are checked as seldom. */
export const longMs = 36_000

export type Finding = string | undefined
export type Claim = (sight: Sight, of: (type: ConditionType) => Condition) => Finding | readonly Finding[]

export const deploymentSpec = ({ deployment }: Truth): DeploymentSpec => (deployment?.spec ?? {}) as DeploymentSpec
export const deploymentStatus = ({ deployment }: Truth): DeploymentStatus => (deployment?.status ?? {}) as DeploymentStatus
export const readyOf = (truth: Truth): number => deploymentStatus(truth).readyReplicas ?? 0
export const isPaused = (pipeline: Stored | undefined): boolean =>
  pipeline?.metadata.annotations?.['streampipeline.dev/reconcile'] === 'disabled'

export function serverTruth({ servers }: Truth, spec: Spec): ServerTruth {
  return servers.get(serverOf(spec)) ?? { state: 'Up', streams: new Map() }
}

export function streamTruth(truth: Truth, spec: Spec): StreamTruth | undefined {
  return serverTruth(truth, spec).streams.get(streamOf(spec))
}

/** The pipeline names the stream of that spec. */
export function isAtPlace({ pipeline }: Truth, spec: Spec): boolean {
  if (pipeline === undefined) return false
  const now = specOf(pipeline)
  return serverOf(now) === serverOf(spec) && streamOf(now) === streamOf(spec)
}

/** Looks of the stream of this spec that were answered, newest last. */
export function answered({ looks, spec, atMs }: Sight): readonly LookTruth[] {
  return looks.filter((look) => look.ok && look.atMs <= atMs && look.server === serverOf(spec) && look.stream === streamOf(spec))
}

/** Exact up to 100, else three digits. */
export function rounded(count: number): number {
  return count <= 100 ? count : Number(count.toPrecision(3))
}

/** If the numbers of a status come from an earlier look than the last: the time of that look. Otherwise undefined. */
export const asOfOf = (message: string): string | undefined => /as of (\S+Z)$/.exec(message)?.[1]

/** States of the look that began in that second. */
export function statesAt(sight: Sight, ms: number): readonly Truth[] {
  return sight.statesOf(ms - 1_000, ms + 1_100)
}
