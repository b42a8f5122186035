/** The display's one value. Table, plain line and summary are rendered from it. */
import type { Decision } from '../scaling/decide.ts'
import type { Sample } from '../scaling/sample.ts'
import type { Replica } from './fleet.ts'

export interface View {
  readonly name: string
  /** Server, without secrets. */
  readonly redis: string
  readonly elapsedMs: number
  readonly phase: Phase
  readonly targetAgeMs: number
  /** Undefined while Redis cannot be asked. */
  readonly sample?: Sample
  readonly decision?: Decision
  readonly replicas: readonly Replica[]
  readonly totals: Totals
  /** Consumers that read the group and are not of this run. */
  readonly others?: number
  /** Present in a demo. */
  readonly demo?: DemoCounts
  /** Newest last. */
  readonly events: readonly string[]
}

/** Totals of the group's consumers since the run began, as Redis counts them. */
interface Totals {
  readonly forwarded: number
  readonly duplicates: number
}

export type Phase =
  | { readonly kind: 'Running' }
  /** No more input; the rest is finished. */
  | { readonly kind: 'Draining' }

export interface DemoCounts {
  /** Entries the producer added. */
  readonly entries: number
  /** Jobs the worker ran. */
  readonly executions: number
}

export const runningOf = (view: View): number => view.replicas.filter(({ state }) => state.kind === 'Running').length
