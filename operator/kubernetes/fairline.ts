/** Waiting keys by namespace. The namespaces take turns, each with its oldest key. */
import { splitKey } from './objects.ts'

export interface FairLine {
  add(key: string): void
  delete(key: string): void
  /** The next key of a namespace that `may` have a turn. */
  take(may: (namespace: string) => boolean): string | undefined
  /** Returns the keys that were left. */
  clear(): readonly string[]
  readonly size: number
}

export function createFairLine(): FairLine {
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
