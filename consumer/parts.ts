/** The parts that a consumer is assembled from, and the events that it reports to its observers. */

import type { CompiledPipeline } from '../api/compiled.ts'
import type { StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { StreamPlace } from '../redis/placement.ts'
import type { AddChoice, ForwardPlan } from '../redis/settle/choose.ts'
import type { PathKind } from '../redis/settle/path.ts'
import type { GroupOutcome } from '../redis/stream/group.ts'
import type { MaintenanceReport } from './maintenance.ts'
import type { ReclaimReport } from './reclaimer.ts'
import type { BatchReport } from './settler.ts'
import type { ConsumerState } from './states.ts'
import type { Totals } from './tally.ts'

export interface ConsumerParts {
  readonly pipeline: CompiledPipeline
  readonly place: StreamPlace
  /** Name in the group: the pod's or host's. */
  readonly name: string
  /** Owner and life of this consumer: pipeline and pod, or supervisor and process (redis/stream/identity.ts). */
  readonly uid: string
  readonly connections: ConsumerConnections
  /** Chooses and proves the way of settling; asked at start, when the connections are open. */
  readonly choosePath: () => Promise<ForwardPlan>
  readonly observers: readonly ConsumerObserver[]
  /** Receives the error of a bug: the process must not go on in doubt. */
  readonly crash: (thrown: unknown) => void
  readonly clock: Clock
}

export interface ConsumerConnections {
  readonly blocking: RedisConnection
  readonly writer: RedisConnection
  /** The queue's; the same as `writer` unless the queue lives in another Redis. */
  readonly queue: RedisConnection
}

/** The events of a consumer. Metrics and logs are observers; each takes the events that it needs. */
export interface ConsumerObserver {
  stateChanged?(state: ConsumerState, previous: ConsumerState): void
  /**
   * @param fallback why the consumer settles by the portable path; undefined on the others
   * @param add how jobs are added; undefined on the portable path
   */
  pathChosen?(kind: PathKind, fallback: string | undefined, add: AddChoice | undefined): void
  /** @param amiss why batches go on, or might go on, without a replica's confirmation; undefined: all is well again */
  confirmationChanged?(amiss: StreamPipelineError | undefined): void
  /** A batch is acknowledged that no replica confirmed. */
  unconfirmed?(): void
  groupMade?(outcome: GroupOutcome): void
  batchSettled?(report: BatchReport): void
  reclaimed?(report: ReclaimReport): void
  heartbeatSent?(atMs: number): void
  maintained?(report: MaintenanceReport): void
  /** The last word of a drained consumer, with its totals. */
  handedBack?(entries: number, retired: boolean, totals: Totals): void
}

/** Reports an event to every observer, in their order. */
export type Announce = <Name extends keyof ConsumerObserver>(
  name: Name,
  ...details: Parameters<NonNullable<ConsumerObserver[Name]>>
) => void

export function createAnnouncer(observers: readonly ConsumerObserver[]): Announce {
  return (name, ...details) => {
    for (const observer of observers) {
      const listener = observer[name] as ((...args: typeof details) => void) | undefined
      listener?.call(observer, ...details)
    }
  }
}
