/** Keys under way by namespace: while several namespaces have keys, each may use only its share of the workers. */
import { splitKey } from './objects.ts'

interface NamespaceShares {
  /** The key waits (0), is under way (1), or is done (-1). Makes its namespace known. */
  count(key: string, more: number, nowMs: number): void
  /** Whether a namespace may have one more key under way, of a priority whose share is `share`. */
  mayTake(namespace: string, share: number): boolean
}

/** A namespace that has rested for so long competes with no other. Its next key makes it known again. */
const forgetMs = 3_600_000

export function createNamespaceShares(): NamespaceShares {
  /** The namespace used last at the end. A zero stands for a known namespace without any. */
  const underway = new Map<string, { readonly keys: number; readonly usedMs: number }>()

  function forgetRested(beforeMs: number): void {
    for (const [namespace, { keys, usedMs }] of underway) {
      if (usedMs > beforeMs) return
      if (keys === 0) underway.delete(namespace)
    }
  }

  return {
    count(key, more, nowMs) {
      const { namespace } = splitKey(key)
      const keys = (underway.get(namespace)?.keys ?? 0) + more
      underway.delete(namespace)
      underway.set(namespace, { keys, usedMs: nowMs })
      if (more === 0) forgetRested(nowMs - forgetMs)
    },
    mayTake: (namespace, share) => underway.size <= 1 || (underway.get(namespace)?.keys ?? 0) < share,
  }
}
