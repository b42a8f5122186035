/**
 * The portable path's state of each distinct key of a batch, from its lock to its outcome.
 *
 * Decided    nothing is to be done: a duplicate, held by another forwarder, or refused.
 * Fresh      no mark, no job: ours to add.
 * Existing   a job of this key stands for the mark, which is written anew, where missing, for what is left of the window.
 * Outlived   a job that makes way: unmarked, finished and older than the window, retained only by removeOnComplete or
 *            removeOnFail; or what a failed add left in no list, marked or not.
 */
import { failure } from '../../../api/errors.ts'
import type { ForwardItem } from '../../bullmq/item.ts'
import { jobId } from '../../keys.ts'
import type { LockJobsStandingReply } from '../../scripts/generated.ts'
import type { ForwardOutcome } from './forwarder.ts'

export type Standing =
  | { readonly kind: 'Decided'; readonly outcome: ForwardOutcome }
  | { readonly kind: 'Fresh' }
  | {
      readonly kind: 'Existing'
      /** Whether the job is certainly in a list of the queue, or finished. */
      readonly certain: boolean
      readonly marked: boolean
      readonly remainingMs: number
    }
  | { readonly kind: 'Outlived' }

/** One distinct key of a batch: the first item that has it does the work, the others share its fate. */
export interface Claim {
  readonly item: ForwardItem
  readonly id: string
  readonly jobKey: string
}

/** @param queue prefix of the queue's keys, with its last colon */
export function claimsOf(items: readonly ForwardItem[], scope: string, queue: string): Claim[] {
  const claims = new Map<string, Claim>()
  for (const item of items) {
    if (claims.has(item.hash)) continue
    const id = jobId(scope, item.hash)
    claims.set(item.hash, { item, id, jobKey: queue + id })
  }
  return [...claims.values()]
}

/** How a key stands by what the lock step found. @param now server time, milliseconds */
export function standingOf({ id }: Claim, found: LockJobsStandingReply, now: number, windowMs: number): Standing {
  const { locked, marked, foreign, holds, timestamp, finishedOn, added } = found
  if (foreign !== '') return { kind: 'Decided', outcome: { kind: 'Rejected', error: foreign } }
  const mayHang = holds === 'hash' && finishedOn === '' && !added
  if (marked && !mayHang) return { kind: 'Decided', outcome: { kind: 'Duplicate', jobId: id } }
  if (!locked) return { kind: 'Decided', outcome: { kind: 'Contended' } }
  if (holds === 'none') return { kind: 'Fresh' }
  const finished = finishedOn !== ''
  const remainingMs = since(finished ? finishedOn : timestamp, now) + windowMs - now
  if (finished && remainingMs <= 0) return { kind: 'Outlived' }
  return { kind: 'Existing', certain: finished || added, marked, remainingMs: Math.max(1_000, Math.ceil(remainingMs)) }
}

/** A time that another program wrote into a job is believed only where it can be true; else it counts from now. */
function since(text: string, now: number): number {
  const time = Number(text)
  return time > 0 && time <= now ? time : now
}

/** Too much of the lock's life is gone to start adding: another forwarder that waits for it may take over any moment. */
export function withoutWork(standing: Standing): ForwardOutcome {
  return standing.kind === 'Decided' ? standing.outcome : { kind: 'Contended' }
}

/** Items that share a key with an earlier one of their batch are its duplicates, or wait like it. */
export function share(
  items: readonly ForwardItem[],
  claims: readonly Claim[],
  outcomes: readonly ForwardOutcome[],
): ForwardOutcome[] {
  const byHash = new Map(claims.map((claim, index) => [claim.item.hash, { first: claim.item, outcome: outcomes[index] }]))
  return items.map((item) => {
    const shared = byHash.get(item.hash)
    if (shared?.outcome === undefined) throw failure('Internal', { detail: 'an item of the batch was left without an outcome' })
    const { first, outcome } = shared
    return outcome.kind === 'Forwarded' && first !== item ? { kind: 'Duplicate', jobId: outcome.jobId } : outcome
  })
}
