/**
 * The backlog: undelivered entries, in order, and those to be delivered again, because their replica vanished or because
 * they failed. Poisoned entries fail every time; from the third delivery on they are in quarantine.
 */
import { quarantineDeliveries } from '../pending.ts'
import type { Load } from './load.ts'

interface Redelivery {
  readonly entry: number
  readonly readyAt: number
  /** It has no holder: its replica is gone. */
  readonly orphaned: boolean
}

export interface Backlog {
  /** Index of the first undelivered entry. */
  head: number
  /** Entries added so far. */
  added: number
  readonly again: Redelivery[]
  /** Deliveries of poisoned entries that are pending. */
  readonly deliveries: Map<number, number>
  dead: number
}

export const createBacklog = (): Backlog => ({ head: 0, added: 0, again: [], deliveries: new Map(), dead: 0 })

export function advance(backlog: Backlog, { arrivals }: Load, at: number): void {
  while (backlog.added < arrivals.length && (arrivals[backlog.added] as number) <= at) backlog.added++
}

export function deliverAgain(backlog: Backlog, redelivery: Redelivery): void {
  const { again } = backlog
  let i = again.length
  while (i > 0 && (again[i - 1] as Redelivery).readyAt > redelivery.readyAt) i--
  again.splice(i, 0, redelivery)
}

export const quarantinedOf = ({ deliveries }: Backlog): number => {
  let count = 0
  for (const delivered of deliveries.values()) if (delivered >= quarantineDeliveries) count++
  return count
}

/** Work without a worker: of vanished replicas, and failed entries whose time to wait is over; never the quarantine. */
export function orphanedOf({ again, deliveries }: Backlog, at: number): number {
  let count = 0
  for (const { entry, readyAt, orphaned } of again) {
    if ((deliveries.get(entry) ?? 0) < quarantineDeliveries && (orphaned || readyAt <= at)) count++
  }
  return count
}
