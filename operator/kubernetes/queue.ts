/**
 * The work queue: keys, not events. A key is in one of the states of keystates.ts. So a key is never handled twice at once. A
 * hundred adds are one piece of work. An add during the work is never lost. Beside its state a key may have one delayed add and a
 * count of failures (delayedadds.ts).
 *
 * Changed keys come first, then keys with a new observation that can wait, then keys of a resync. A taker may leave a priority to other
 * takers.
 *
 * Within a priority the namespaces take turns, each with its oldest key. While several namespaces have keys, each may use only its share
 * of the workers. So thousands of keys of one namespace, or slow ones, block no other namespace.
 */
import type { Clock } from '../../process/clock.ts'
import { createDelayedAdds } from './delayedadds.ts'
import { createFairLine, type FairLine } from './fairline.ts'
import { added, done, type KeyState, type Priority, priorities } from './keystates.ts'
import { createNamespaceShares } from './namespaceshares.ts'

interface Taken {
  readonly key: string
  /** From the first add to the take. */
  readonly waitedMs: number
}

export interface WorkQueue {
  /** Ignored once closed. */
  add(key: string, priority?: Priority): void
  /** Adds later, unless an earlier delayed add is pending; `ms` ≤ 0 adds at once. */
  addAfter(key: string, ms: number, priority?: Priority): void
  /**
   * Adds the key after its back-off or `atLeastMs`, whichever is longer. The back-off doubles with each call until `forget`. Returns the
   * wait in milliseconds.
   */
  retry(key: string, atLeastMs?: number): number
  /** The key succeeded: its back-off starts anew. */
  forget(key: string): void
  /** The next key of one of these priorities (default: all); waits for one; undefined once closed. */
  take(of?: readonly Priority[]): Promise<Taken | undefined>
  /** Must follow each take. */
  done(key: string): void
  /** Wakes all takers with undefined, drops what waits; keys under way may finish. Idempotent. */
  close(): void
  readonly depth: number
  /** Longest time a key has been under way. */
  longestRunningMs(): number
  /** How long all keys under way have been so, together. */
  unfinishedMs(): number
}

export interface QueueObserver {
  readonly added?: () => void
  readonly retried?: () => void
  readonly waited?: (ms: number) => void
  readonly worked?: (ms: number) => void
}

/** Most keys of one namespace under way at once, while the queue knows keys of other namespaces. */
export type Shares = Readonly<Record<Priority, number>>

const unlimited = Number.POSITIVE_INFINITY
const noShares: Shares = { Changed: unlimited, Observed: unlimited, Resynced: unlimited }

export function createQueue(clock: Clock, observer: QueueObserver = {}, shares: Shares = noShares): WorkQueue {
  const states = new Map<string, KeyState>()
  const lines: Record<Priority, FairLine> = { Changed: createFairLine(), Observed: createFairLine(), Resynced: createFairLine() }
  const underway = createNamespaceShares()
  const delayed = createDelayedAdds(clock, add)
  const takers = createTakers(next)
  let closed = false

  function queue(key: string, state: Extract<KeyState, { kind: 'Queued' }>): void {
    states.set(key, state)
    lines[state.priority].add(key)
    underway.count(key, 0, clock.now())
    takers.serve()
  }

  /** @param of in the order of service */
  function next(of: readonly Priority[]): Taken | undefined {
    for (const priority of of) {
      const key = lines[priority].take((namespace) => underway.mayTake(namespace, shares[priority]))
      const state = key === undefined ? undefined : states.get(key)
      if (key === undefined || state?.kind !== 'Queued') continue
      const now = clock.now()
      states.set(key, { kind: 'Running', sinceMs: now })
      underway.count(key, 1, now)
      observer.waited?.(now - state.sinceMs)
      return { key, waitedMs: now - state.sinceMs }
    }
    return undefined
  }

  function add(key: string, priority: Priority = 'Changed'): void {
    if (closed) return
    const before = states.get(key)
    const after = added(before, priority, clock.now())
    if (after === before) return
    if (before === undefined || before.kind === 'Running') observer.added?.()
    if (before?.kind === 'Queued') lines[before.priority].delete(key)
    // A taker that left the key to others may want it by its new priority.
    if (after.kind === 'Queued') queue(key, after)
    else states.set(key, after)
  }

  function addAfter(key: string, ms: number, priority: Priority = 'Changed'): void {
    if (closed) return
    if (ms <= 0) {
      add(key, priority)
      return
    }
    delayed.add(key, ms, priority)
  }

  function runningMs(): number[] {
    const now = clock.now()
    return [...states.values()].flatMap((state) => (state.kind === 'Queued' ? [] : [now - state.sinceMs]))
  }

  return {
    add,
    addAfter,
    retry(key, atLeastMs = 0) {
      const wait = Math.max(delayed.failed(key), atLeastMs)
      observer.retried?.()
      addAfter(key, wait)
      return wait
    },
    forget: delayed.succeeded,
    take: (of = priorities) => (closed ? Promise.resolve(undefined) : takers.take(of)),
    done(key) {
      const state = states.get(key)
      if (state === undefined || state.kind === 'Queued') return
      observer.worked?.(clock.now() - state.sinceMs)
      states.delete(key)
      underway.count(key, -1, clock.now())
      const after = done(state)
      if (after?.kind === 'Queued' && !closed) queue(key, after)
      // The namespace has a free place again.
      else takers.serve()
    },
    close() {
      closed = true
      delayed.clear()
      for (const line of Object.values(lines)) {
        for (const key of line.clear()) states.delete(key)
      }
      takers.close()
    },
    get depth() {
      return priorities.reduce((sum, priority) => sum + lines[priority].size, 0)
    },
    longestRunningMs: () => Math.max(0, ...runningMs()),
    unfinishedMs: () => runningMs().reduce((sum, each) => sum + each, 0),
  }
}

interface Takers {
  /** The next key of one of these priorities; waits for one. */
  take(of: readonly Priority[]): Promise<Taken | undefined>
  /** A key may be free: serves those that wait, in the order in which they came. */
  serve(): void
  /** Ends all waits with undefined. */
  close(): void
}

/** @param next the next free key of one of these priorities */
function createTakers(next: (of: readonly Priority[]) => Taken | undefined): Takers {
  const waiting = new Set<{ readonly of: readonly Priority[]; readonly give: (taken: Taken | undefined) => void }>()
  return {
    take(of) {
      const taken = next(of)
      if (taken !== undefined) return Promise.resolve(taken)
      return new Promise((give) => waiting.add({ of, give }))
    },
    serve() {
      for (const taker of waiting) {
        const taken = next(taker.of)
        if (taken === undefined) continue
        waiting.delete(taker)
        taker.give(taken)
      }
    },
    close() {
      for (const { give } of waiting) give(undefined)
      waiting.clear()
    },
  }
}
