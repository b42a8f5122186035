/** The result of one look at a pipeline's Redis: the input of `decide`. Plain JSON; ages come from the server's clock. */

import { type Heartbeat, heartbeatIntervalMs } from '../redis/stream/registry.ts'
import type { PinLook } from './replies.ts'
import type { Missing } from './undelivered.ts'

export interface ConsumerSample {
  readonly name: string
  /** Uid of the process that registered the name; absent for consumers that are not ours. */
  readonly uid?: string
  /** Entries delivered to it and not acknowledged. */
  readonly pending: number
  /** Since it last asked the server for anything. */
  readonly idleMs: number
  /** Absent when it never wrote one or the last one expired. */
  readonly heartbeat?: Heartbeat
}

export interface Sample {
  /** Server TIME. */
  readonly atMs: number
  /** False when the stream or the group does not exist (yet): a calm state, not an error. */
  readonly groupExists: boolean
  /** Entries that no consumer of the group has been given. */
  readonly undelivered: number
  /** False when `undelivered` was estimated because Redis's own lag was null or wrong and the backlog too long to count. */
  readonly undeliveredExact: boolean
  /** Age of the oldest undelivered entry; 0 when there is none or ids are not times. */
  readonly undeliveredAgeMs: number
  /** False when the stream's ids are not times; ages say nothing then and sizing goes by count alone. */
  readonly timeIds: boolean
  /** All delivered and unacknowledged entries, quarantined ones included. */
  readonly pending: number
  /** Age of the oldest pending entry that is healthy and still exists. */
  readonly pendingAgeMs: number
  /** Pending entries that no consumer works on: their consumer is gone or they have been idle for longer than reclaim.minIdle. */
  readonly orphaned: number
  /** Pending entries delivered three times or more: reported, alarmed. They are work only while the scaler readmits them (outage.ts). */
  readonly quarantined: number
  /** The larger of undeliveredAgeMs and pendingAgeMs: how long the oldest healthy entry has waited. */
  readonly oldestAgeMs: number
  readonly deadLetters: number
  /** Jobs waiting in the BullMQ queue. */
  readonly queueWaiting: number
  /** The BullMQ queue is paused: jobs are added, and no worker takes them. Absent in what older versions recorded. */
  readonly queuePaused?: boolean
  /** Entries ever added to the stream; its growth is the arrival rate. */
  readonly entriesAdded: number
  /** Id of the last entry ever added, `0-0` before the first: whatever comes after it is new. Absent in what older versions recorded. */
  readonly lastId?: string
  /** Entries trimmed unread, as the ledger counts them. */
  readonly lost: number
  /** Entries that others took from the group; absent where none did. */
  readonly missing?: Missing
  /** The entry for which retention waits; absent where there is none. */
  readonly pin?: PinLook
  readonly consumers: readonly ConsumerSample[]
}

/** Of a stream and a queue without any entry. */
export function emptySample(atMs: number): Sample {
  return {
    atMs,
    groupExists: false,
    undelivered: 0,
    undeliveredExact: true,
    undeliveredAgeMs: 0,
    timeIds: true,
    pending: 0,
    pendingAgeMs: 0,
    orphaned: 0,
    quarantined: 0,
    oldestAgeMs: 0,
    deadLetters: 0,
    queueWaiting: 0,
    entriesAdded: 0,
    lastId: '0-0',
    lost: 0,
    consumers: [],
  }
}

/** Work without a holder. */
export const workOf = (sample: Sample): number => sample.undelivered + sample.orphaned

/** Pending entries that may still succeed. */
export const healthyPendingOf = (sample: Sample): number => Math.max(0, sample.pending - sample.quarantined)

/** A consumer that missed this many heartbeats is not counted on, though its last one may still be there. */
const missedBeats = 3

/** Consumers that are alive and take entries. */
export const readyOf = (sample: Sample): number =>
  sample.consumers.filter(({ heartbeat }) => heartbeat !== undefined && isReady(heartbeat, sample.atMs)).length

/** The first beat is the last step of a start and still says Starting. */
const readyStates: ReadonlySet<string> = new Set(['Starting', 'Running', 'Backpressured'])

export function isReady(heartbeat: Heartbeat, atMs: number): boolean {
  return atMs - heartbeat.at <= missedBeats * heartbeatIntervalMs && readyStates.has(heartbeat.state)
}
