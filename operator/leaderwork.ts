/**
 * The leader's work: the queue of keys and the reconciler of the present term. It is empty on a standby, which keeps caches but has no work.
 * `begin` and `lead` fill it, `end` empties it.
 */
import type { Priority } from './kubernetes/keystates.ts'
import type { WorkQueue } from './kubernetes/queue.ts'
import type { Reconciler } from './reconcile.ts'

export interface LeaderWork {
  /** Ignored on a standby, as all below. */
  add(key: string, priority?: Priority): void
  touched(key: string): void
  forgetAll(): void
  readonly depth: number
  longestRunningMs(): number
  unfinishedMs(): number
  begin(queue: WorkQueue): void
  lead(reconciler: Reconciler): void
  end(): void
}

export function createLeaderWork(): LeaderWork {
  let queue: WorkQueue | undefined
  let reconciler: Reconciler | undefined
  return {
    add: (key, priority) => queue?.add(key, priority),
    touched: (key) => reconciler?.touched(key),
    forgetAll: () => reconciler?.forgetAll(),
    get depth() {
      return queue?.depth ?? 0
    },
    longestRunningMs: () => queue?.longestRunningMs() ?? 0,
    unfinishedMs: () => queue?.unfinishedMs() ?? 0,
    begin(begun) {
      queue = begun
    },
    lead(begun) {
      reconciler = begun
    },
    end() {
      queue?.close()
      queue = undefined
      reconciler = undefined
    },
  }
}
