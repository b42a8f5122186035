/**
 * The work queue: keys, not events. A key is in one of these states, or unknown:
 *
 *   Queued ──take──▶ Running ──done──▶ (unknown)
 *     ▲                 │add
 *     └────done──── RunningDirty
 *
 * So a key is never handled twice at once, a hundred adds are one piece of work, and an add during the work is never lost. Beside its
 * state a key may have one delayed add (the soonest wins) and a count of failures, which sets the wait before the next retry.
 *
 * Changed keys come first, then keys with a new observation that can wait, then keys of a resync. A taker may leave a priority to other
 * takers.
 *
 * Within a priority the namespaces take turns, each with its oldest key. While several namespaces have keys, each may use only its share
 * of the workers. So thousands of keys of one namespace, or slow ones, block no other namespace.
 */
import type { Clock } from '../../process/clock.ts'
import { splitKey } from './objects.ts'

/** In the order of service. */
export const priorities = ['Changed', 'Observed', 'Resynced'] as const

export type Priority = (typeof priorities)[number]

const isBefore = (one: Priority, other: Priority) => priorities.indexOf(one) < priorities.indexOf(other)

type KeyState =
  | { readonly kind: 'Queued'; readonly priority: Priority; readonly sinceMs: number }
  | { readonly kind: 'Running'; readonly sinceMs: number }
  | { readonly kind: 'RunningDirty'; readonly sinceMs: number; readonly priority: Priority; readonly dirtySinceMs: number }

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
  /** The next key of one of these priorities (all unless told); waits for one; undefined once closed. */
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

/** client-go's item exponential failure rate limiter: 5 ms, doubled, at most 1,000 s. */
export function retryDelayMs(failures: number): number {
  return Math.min(1_000_000, 5 * 2 ** Math.min(30, failures))
}

/** Most keys of one namespace under way at once, while the queue knows keys of other namespaces. */
export type Shares = Readonly<Record<Priority, number>>

/** A namespace that has rested for so long competes with no other. Its next key makes it known again. */
const forgetMs = 3_600_000

const unlimited = Number.POSITIVE_INFINITY
const noShares: Shares = { Changed: unlimited, Observed: unlimited, Resynced: unlimited }

export function createQueue(clock: Clock, observer: QueueObserver = {}, shares: Shares = noShares): WorkQueue {
  const states = new Map<string, KeyState>()
  const lines: Record<Priority, Line> = { Changed: createLine(), Observed: createLine(), Resynced: createLine() }
  /** Keys under way by namespace, the namespace used last at the end. A zero stands for a known namespace without any. */
  const underway = new Map<string, { readonly keys: number; readonly usedMs: number }>()
  const delayed = new Map<string, { readonly dueMs: number; readonly priority: Priority; readonly cancel: () => void }>()
  const failures = new Map<string, number>()
  /** In the order in which they came. */
  const takers = new Set<{ readonly of: readonly Priority[]; readonly give: (taken: Taken | undefined) => void }>()
  let closed = false

  function enqueue(key: string, priority: Priority, sinceMs: number): void {
    states.set(key, { kind: 'Queued', priority, sinceMs })
    lines[priority].add(key)
    count(key, 0)
    forgetNamespaces()
    serve()
  }

  function serve(): void {
    for (const taker of takers) {
      const taken = next(taker.of)
      if (taken === undefined) continue
      takers.delete(taker)
      taker.give(taken)
    }
  }

  /** @param of in the order of service */
  function next(of: readonly Priority[]): Taken | undefined {
    for (const priority of of) {
      const most = underway.size > 1 ? shares[priority] : unlimited
      const key = lines[priority].take((namespace) => (underway.get(namespace)?.keys ?? 0) < most)
      const state = key === undefined ? undefined : states.get(key)
      if (key === undefined || state?.kind !== 'Queued') continue
      const now = clock.now()
      states.set(key, { kind: 'Running', sinceMs: now })
      count(key, 1)
      observer.waited?.(now - state.sinceMs)
      return { key, waitedMs: now - state.sinceMs }
    }
    return undefined
  }

  function count(key: string, more: number): void {
    const { namespace } = splitKey(key)
    const keys = (underway.get(namespace)?.keys ?? 0) + more
    underway.delete(namespace)
    underway.set(namespace, { keys, usedMs: clock.now() })
  }

  /** A namespace without keys for so long competes with no other. */
  function forgetNamespaces(): void {
    const before = clock.now() - forgetMs
    for (const [namespace, { keys, usedMs }] of underway) {
      if (usedMs > before) return
      if (keys === 0) underway.delete(namespace)
    }
  }

  function add(key: string, priority: Priority = 'Changed'): void {
    if (closed) return
    const state = states.get(key)
    if (state === undefined) {
      observer.added?.()
      enqueue(key, priority, clock.now())
      return
    }
    switch (state.kind) {
      case 'Queued':
        if (isBefore(priority, state.priority)) {
          lines[state.priority].delete(key)
          lines[priority].add(key)
          states.set(key, { ...state, priority })
          // Whoever left it to others may want it now.
          serve()
        }
        return
      case 'Running':
        observer.added?.()
        states.set(key, { kind: 'RunningDirty', sinceMs: state.sinceMs, priority, dirtySinceMs: clock.now() })
        return
      case 'RunningDirty':
        if (isBefore(priority, state.priority)) states.set(key, { ...state, priority })
        return
      default:
        throw state satisfies never
    }
  }

  function addAfter(key: string, ms: number, priority: Priority = 'Changed'): void {
    if (closed) return
    if (ms <= 0) {
      add(key, priority)
      return
    }
    const dueMs = clock.now() + ms
    const pending = delayed.get(key)
    if (pending !== undefined && pending.dueMs <= dueMs) return
    pending?.cancel()
    const cancel = clock.after(ms, () => {
      delayed.delete(key)
      add(key, priority)
    })
    delayed.set(key, { dueMs, priority, cancel })
  }

  function runningMs(): number[] {
    const now = clock.now()
    return [...states.values()].flatMap((state) => (state.kind === 'Queued' ? [] : [now - state.sinceMs]))
  }

  return {
    add,
    addAfter,
    retry(key, atLeastMs = 0) {
      const failed = failures.get(key) ?? 0
      failures.set(key, failed + 1)
      const wait = Math.max(retryDelayMs(failed), atLeastMs)
      observer.retried?.()
      addAfter(key, wait)
      return wait
    },
    forget: (key) => void failures.delete(key),
    take(of = priorities) {
      if (closed) return Promise.resolve(undefined)
      const taken = next(of)
      if (taken !== undefined) return Promise.resolve(taken)
      return new Promise((give) => takers.add({ of, give }))
    },
    done(key) {
      const state = states.get(key)
      if (state === undefined || state.kind === 'Queued') return
      observer.worked?.(clock.now() - state.sinceMs)
      states.delete(key)
      count(key, -1)
      if (state.kind === 'RunningDirty' && !closed) enqueue(key, state.priority, state.dirtySinceMs)
      // The namespace has a free place again.
      else serve()
    },
    close() {
      closed = true
      for (const { cancel } of delayed.values()) cancel()
      delayed.clear()
      failures.clear()
      for (const line of Object.values(lines)) {
        for (const key of line.clear()) states.delete(key)
      }
      for (const { give } of takers) give(undefined)
      takers.clear()
    },
    get depth() {
      return priorities.reduce((sum, priority) => sum + lines[priority].size, 0)
    },
    longestRunningMs: () => Math.max(0, ...runningMs()),
    unfinishedMs: () => runningMs().reduce((sum, each) => sum + each, 0),
  }
}

/** Waiting keys by namespace. The namespaces take turns, each with its oldest key. */
interface Line {
  add(key: string): void
  delete(key: string): void
  /** The next key of a namespace that `may` have a turn. */
  take(may: (namespace: string) => boolean): string | undefined
  /** Returns the keys that were left. */
  clear(): readonly string[]
  readonly size: number
}

function createLine(): Line {
  /** Namespaces in the order of their turns. */
  const turns = new Map<string, Set<string>>()
  let size = 0
  return {
    add(key) {
      const { namespace } = splitKey(key)
      const keys = turns.get(namespace) ?? new Set<string>()
      turns.set(namespace, keys)
      if (!keys.has(key)) size += 1
      keys.add(key)
    },
    delete(key) {
      const { namespace } = splitKey(key)
      const keys = turns.get(namespace)
      if (keys?.delete(key) !== true) return
      size -= 1
      if (keys.size === 0) turns.delete(namespace)
    },
    take(may) {
      for (const [namespace, keys] of turns) {
        const [key] = keys
        if (key === undefined || !may(namespace)) continue
        keys.delete(key)
        size -= 1
        turns.delete(namespace)
        if (keys.size > 0) turns.set(namespace, keys)
        return key
      }
      return undefined
    },
    clear() {
      const left = [...turns.values()].flatMap((keys) => [...keys])
      turns.clear()
      size = 0
      return left
    },
    get size() {
      return size
    },
  }
}
