/** The input of a contender's process, as one JSON argument. */
import type { PayloadKind } from '../workload.ts'

export interface ContenderInput {
  readonly url: string
  readonly payload: PayloadKind
  readonly count: number
  /** Calls of addBulk under way at once. */
  readonly inFlight: number
  /** The folder whose node_modules has the programs of others (peers.ts). Empty for contenders that need none. */
  readonly peers: string
}

export const input = JSON.parse(process.argv[2] ?? '{}') as ContenderInput
