/** Messages, all JSON, between the operator and a process that looks at Redis. */
import type { CompiledPipeline, Reference } from '../../../api/compiled.ts'
import type { Claimant } from '../../../redis/stream/claim.ts'
import type { Reaping } from '../../../redis/stream/reaping.ts'
import type { RecordedDecisions } from '../../decisionrecorder.ts'
import type { Limits } from '../../limits.ts'
import type { WireError, WireObservation } from '../wire.ts'

export interface LookSettings {
  readonly everyMs: number
  readonly quietMs: number
  readonly referencesEveryMs: number
  /** Whether names of Services are completed with the pipeline's namespace. */
  readonly inCluster: boolean
  /** Limits, also on the hosts of Redis. */
  readonly limits: Limits
  readonly decisionLog: RecordedDecisions
  /** This installation's name in claims. */
  readonly cluster: string
}

export interface WireWatched {
  /** Absent: unchanged. */
  readonly pipeline?: CompiledPipeline
  readonly currentReplicas?: number
  readonly mode?: 'Stream' | 'Direct'
  readonly livingPods: readonly string[]
}

/** Questions that only the operator may ask the API server. */
export type Question =
  | { readonly kind: 'Reference'; readonly namespace: string; readonly reference: Reference; readonly maxAgeMs: number }
  | { readonly kind: 'PipelineGone'; readonly holder: Claimant }
  | {
      readonly kind: 'Gone'
      readonly namespace: string
      readonly name: string
      readonly uid: string
      /** Time since the suspicion: the clocks of two processes have no common origin. */
      readonly ageMs: number
    }

export type ToLooks =
  | { readonly kind: 'Settings'; readonly settings: LookSettings }
  | { readonly kind: 'Watch'; readonly key: string; readonly watched: WireWatched; readonly before?: WireObservation }
  | { readonly kind: 'Unwatch'; readonly key: string }
  | { readonly kind: 'Answer'; readonly id: number; readonly value: string | boolean }
  | { readonly kind: 'Refusal'; readonly id: number; readonly error: WireError }

export type FromLooks =
  /** A look has its turn: its pipeline may be to blame if the process ends. */
  | { readonly kind: 'Begun'; readonly key: string }
  | { readonly kind: 'Looked'; readonly key: string; readonly observation: WireObservation; readonly tookMs: number }
  | { readonly kind: 'Changed'; readonly key: string; readonly urgent: boolean }
  | { readonly kind: 'Ask'; readonly id: number; readonly question: Question }
  | { readonly kind: 'Reaped'; readonly key: string; readonly consumer: string; readonly reaping: Reaping }
  | { readonly kind: 'ReapingFailure'; readonly key: string; readonly error: WireError }
  | { readonly kind: 'Decided'; readonly line: string }
  | { readonly kind: 'Failure'; readonly key: string; readonly error: WireError }
