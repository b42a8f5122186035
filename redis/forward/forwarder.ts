/**
 * What every way of forwarding into BullMQ has in common. A forwarder takes work that is valid and has a key, and answers for
 * each item whether a job was made. It does not touch the stream: acknowledging is the consumer's step, and Direct dispatch
 * has no stream at all.
 */
import type { CompiledJobOptions } from '../../api/compiled.ts'
import type { KeySpace } from '../keys.ts'
import type { Trace } from '../payload/fields.ts'

/** Where jobs go and how long a key is remembered. */
export interface ForwardTarget {
  readonly queue: string
  readonly prefix: string
  readonly jobName: string
  readonly jobOptions: CompiledJobOptions
  /** How long a key is remembered, from forwarding. */
  readonly windowMs: number
  /** How long a crashed forwarder blocks a key. */
  readonly lockTtlMs: number
  /** Helper keys in the queue's slot: marks live with the queue, since they are written in one step with the job. */
  readonly keys: KeySpace
}

export interface ForwardItem {
  readonly hash: string
  /** The payload as JSON, UTF-8: bytes outside V8's heap, since an item lives longer than a young collection. */
  readonly json: Buffer
  readonly trace: Trace
  /** Id of the stream entry; absent for Direct dispatch. Kept in the mark, for whoever asks where a job came from. */
  readonly origin?: string
  /** How often it came back from the dead letters. */
  readonly redrives?: number
}

export const jsonOf = (data: object) => Buffer.from(JSON.stringify(data))

/** The payload as a worker will see it. */
export function dataOf({ json }: ForwardItem): object {
  return JSON.parse(json.toString())
}

export type ForwardOutcome =
  | { readonly kind: 'Forwarded'; readonly jobId: string }
  | { readonly kind: 'Duplicate'; readonly jobId: string }
  /** Somebody else is forwarding this key right now; ask again soon. Not a failure of the entry. */
  | { readonly kind: 'Contended' }
  /** BullMQ refuses this very job; trying again cannot help. */
  | { readonly kind: 'Rejected'; readonly error: string }

export interface Forwarded {
  readonly outcomes: readonly ForwardOutcome[]
  /** Jobs that wait for a worker, as of this call. */
  readonly waiting: number
}

export interface Forwarder {
  readonly kind: 'Split' | 'Portable'
  /** One outcome per item, in order. Throws a catalogued error when Redis is away: the outcome is then unknown, try again. */
  forward(items: readonly ForwardItem[]): Promise<Forwarded>
  /** Jobs that wait for a worker: wait and prioritized. */
  waiting(): Promise<number>
  close(): Promise<void>
}
