/** Marks of forwarded keys, each for its time, as Redis keeps them for `idempotency.window`. */
interface Mark {
  /** Id of the entry, or what else took the key. */
  readonly origin: string
  readonly until: number
}

interface Marks {
  of(hash: string): Mark | undefined
  set(hash: string, origin: string, lifeMs?: number): void
  remove(hash: string): void
}

export function createMarks(windowMs: number, now: () => number): Marks {
  const marks = new Map<string, Mark>()
  return {
    of(hash) {
      const mark = marks.get(hash)
      return mark !== undefined && mark.until > now() ? mark : undefined
    },
    set: (hash, origin, lifeMs = windowMs) => void marks.set(hash, { origin, until: now() + lifeMs }),
    remove: (hash) => void marks.delete(hash),
  }
}
