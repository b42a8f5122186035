/** What passes between the operator and a process that looks at Redis for it. All of it is JSON. */
import type { CompiledPipeline, Reference } from '../../../api/compiled.ts'
import type { Claimant } from '../../../redis/stream/claim.ts'
import type { Reaping } from '../../../redis/stream/reaping.ts'
import type { RecordedDecisions } from '../../decisions.ts'
import type { Limits } from '../../policy/limits.ts'
import type { WireError, WireObservation } from '../wire.ts'

export interface LookSettings {
  readonly everyMs: number
  readonly quietMs: number
  readonly referencesEveryMs: number
  /** Names of Services have to be completed with the pipeline's namespace. */
  readonly inCluster: boolean
  /** On the hosts of Redis, among others. */
  readonly limits: Limits
  readonly decisionLog: RecordedDecisions
  /** Of this installation, for claims. */
  readonly cluster: string
}

export interface WireWatched {
  /** Absent: as before. */
  readonly pipeline?: CompiledPipeline
  readonly currentReplicas?: number
  readonly mode?: 'Stream' | 'Direct'
  readonly livingPods: readonly string[]
}

/** What only the operator may ask the API server. */
export type Question =
  | { readonly kind: 'Reference'; readonly namespace: string; readonly reference: Reference; readonly maxAgeMs: number }
  | { readonly kind: 'PipelineGone'; readonly holder: Claimant }
  | {
      readonly kind: 'Gone'
      readonly namespace: string
      readonly name: string
      readonly uid: string
      /** For how long it has been suspected: the clocks of two processes have no common beginning. */
      readonly ageMs: number
    }

export type ToLooks =
  | { readonly kind: 'Settings'; readonly settings: LookSettings }
  | { readonly kind: 'Watch'; readonly key: string; readonly watched: WireWatched; readonly before?: WireObservation }
  | { readonly kind: 'Unwatch'; readonly key: string }
  | { readonly kind: 'Answer'; readonly id: number; readonly value: string | boolean }
  | { readonly kind: 'Refusal'; readonly id: number; readonly error: WireError }

export type FromLooks =
  /** A look has its turn: it is among those that may be to blame for what happens next. */
  | { readonly kind: 'Begun'; readonly key: string }
  | { readonly kind: 'Looked'; readonly key: string; readonly observation: WireObservation; readonly tookMs: number }
  | { readonly kind: 'Changed'; readonly key: string; readonly urgent: boolean }
  | { readonly kind: 'Ask'; readonly id: number; readonly question: Question }
  | { readonly kind: 'Reaped'; readonly key: string; readonly consumer: string; readonly reaping: Reaping }
  | { readonly kind: 'ReapingFault'; readonly key: string; readonly error: WireError }
  | { readonly kind: 'Decided'; readonly line: string }
  | { readonly kind: 'Fault'; readonly key: string; readonly error: WireError }
