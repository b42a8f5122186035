/**
 * The common form of every way of forwarding into BullMQ. A forwarder takes work that is valid and has a key, and answers for each
 * item whether a job was made. It does not touch the stream: acknowledging is the consumer's step, and Direct dispatch has no
 * stream at all.
 */
import type { StreamPipelineError } from '../../../api/errors.ts'
import type { ForwardItem } from '../../bullmq/item.ts'

export type ForwardOutcome =
  | { readonly kind: 'Forwarded'; readonly jobId: string }
  | { readonly kind: 'Duplicate'; readonly jobId: string }
  /** Another forwarder holds this key right now; ask again soon. Not a failure of the entry. */
  | { readonly kind: 'Contended' }
  /** BullMQ refuses this very job; trying again cannot help. */
  | { readonly kind: 'Rejected'; readonly error: string }
  /** Redis refused it, or did not answer: try again. */
  | { readonly kind: 'Failed'; readonly failure: StreamPipelineError }

export interface Forwarded {
  readonly outcomes: readonly ForwardOutcome[]
  /** Jobs that wait, for a worker or for their time, as of this call. */
  readonly waiting: number
}

export interface Forwarder {
  readonly kind: 'Split' | 'Portable'
  /** One outcome per item, in order. Throws a catalogued error when Redis is away: the outcome is then unknown, try again. */
  forward(items: readonly ForwardItem[]): Promise<Forwarded>
  /** Jobs that wait, for a worker or for their time: wait, paused, prioritized and delayed. */
  waiting(): Promise<number>
  close(): Promise<void>
}
