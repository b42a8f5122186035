/**
 * The account of a group: the number of entries that came, and their outcomes. The scripts that settle entries count them in the same step,
 * so these numbers are exact. A consumer's own numbers are not: they die with it, and it never receives a reply that was lost with a
 * connection.
 *
 *     waiting before + added = settled + trimmed + lost + taken + waiting after        waiting = undelivered + pending
 *     settled = forwarded + duplicates + dead
 *
 * Both equations hold between two accounts of one life of the group, which `began` identifies. A deleted stream, or a Redis that came back
 * empty, gets a group with another `began`.
 */
import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { readAccount as callReadAccount, type ReadAccountReply } from '../scripts/generated.ts'

export interface Account extends Omit<ReadAccountReply, 'undelivered' | 'supposed' | 'now'> {
  /** Server time, milliseconds since the epoch. */
  readonly atMs: number
  /** Entries that the group has not received yet. */
  readonly undelivered: number
  /** True: undelivered entries were counted, not derived from the ledger's sum. Both sides of the equation are then independent. */
  readonly counted: boolean
}

/** Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed. */
export async function readAccount(
  connection: RedisConnection,
  { stream, deadLetters, keys, group }: StreamPlace,
): Promise<Account> {
  const reply = await callReadAccount(connection, { stream, stats: keys.stats, deadLetters }, { group })
  const { now, undelivered, supposed, ...rest } = reply
  return { ...rest, atMs: now, undelivered: undelivered ?? Math.max(0, supposed ?? 0), counted: undelivered !== undefined }
}

export const waitingIn = ({ undelivered, pending }: Account): number => undelivered + pending
