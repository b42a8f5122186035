/** The input of a contender's process, as one JSON argument. */
import type { PayloadKind } from '../workload.ts'

export interface ContenderInput {
  readonly url: string
  readonly payload: PayloadKind
  readonly count: number
  /** Calls of addBulk under way at once. */
  readonly inFlight: number
}

export const input = JSON.parse(process.argv[2] ?? '{}') as ContenderInput
