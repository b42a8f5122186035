/**
 * The account of a group: how many entries came, and what became of them. The scripts that settle entries count them in the same
 * step, so these numbers are exact where a consumer's own are not: a consumer that dies takes its last ones with it, and one whose
 * reply was lost with a connection never learns what it did.
 *
 *     waiting before + added = settled + trimmed + lost + taken + waiting after        waiting = undelivered + pending
 *     settled = forwarded + duplicates + dead
 *
 * Both hold between two accounts of one life of the group, which `began` tells: a stream that was deleted, or a Redis that came
 * back empty, has a group of another age.
 */
import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { readAccount as callReadAccount, type ReadAccountReply } from '../scripts/generated.ts'

export interface Account extends Omit<ReadAccountReply, 'undelivered' | 'supposed' | 'now'> {
  /** Server time, milliseconds since the epoch. */
  readonly atMs: number
  /** Entries that the group was not given yet. */
  readonly undelivered: number
  /** Undelivered entries were seen, not taken from the ledger's sum: both sides of the equation are known by themselves. */
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
