/** Messages between the demo's threads and the main thread. Plain data. */

/** Given to a thread at its start. */
export interface ThreadInput {
  /** The resource, its Redis already replaced where a private one runs. */
  readonly file: string
  readonly refs: string | undefined
  readonly seed: number
}

export type ThreadCommand = { readonly kind: 'Finish' }

/** A thread that cannot go on. */
interface ThreadFailed {
  readonly kind: 'Failed'
  readonly detail: string
}

export type ProducerMessage =
  /** It begins to produce. */
  | { readonly kind: 'Started' }
  | { readonly kind: 'Produced'; readonly entries: number }
  /** The last message: hashes of the idempotency keys of all valid requests that were accepted. */
  | { readonly kind: 'Finished'; readonly keys: readonly string[] }
  | ThreadFailed

export type WorkerMessage =
  | { readonly kind: 'Executed'; readonly executions: number }
  /** The last message: executions by job id, and jobs left alone because their key had been executed. */
  | { readonly kind: 'Finished'; readonly executions: readonly (readonly [string, number])[]; readonly skipped: number }
  | ThreadFailed
