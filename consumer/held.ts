/**
 * The entries this process answers for. Only they are renewed. Redis may also hold an entry under our name whose reply was
 * lost. That one is not renewed, so it grows idle and is regained (reclaimer.ts).
 *
 * Held       read or claimed, in memory, and being settled.
 * Withheld   to be dead-lettered, but the dead-letter stream is full. Only the id stays here: the bytes are fetched again when there
 *            is room. Renewed like the others, so that no peer takes them over and counts a delivery.
 */
export interface HeldEntries {
  /** Of both kinds. */
  readonly size: number
  /** How many are withheld. */
  readonly withheld: number
  has(id: string): boolean
  /** Held from now on; withheld no longer. */
  add(ids: readonly string[], now: number): void
  remove(ids: readonly string[]): void
  /** Of those that are held, these are withheld from now on. */
  withhold(ids: readonly string[]): void
  /** Up to `count` withheld ids, the oldest first. */
  oldestWithheld(count: number): readonly string[]
  /** Those not renewed (or taken) for at least `ageMs`; they count as renewed at `now`. */
  due(ageMs: number, now: number): readonly string[]
}

export function createHeldEntries(): HeldEntries {
  let renewedAt = new Map<string, number>()
  const withheld = new Set<string>()
  return {
    get size() {
      return renewedAt.size
    },
    get withheld() {
      return withheld.size
    },
    has: (id) => renewedAt.has(id),
    add(ids, now) {
      for (const id of ids) {
        renewedAt.set(id, now)
        withheld.delete(id)
      }
    },
    remove(ids) {
      for (const id of ids) {
        renewedAt.delete(id)
        withheld.delete(id)
      }
      // A Map that grows and shrinks leaves tables behind, each of which leads to the next: one that is old keeps all later ones alive.
      if (renewedAt.size === 0) renewedAt = new Map()
    },
    withhold(ids) {
      for (const id of ids) if (renewedAt.has(id)) withheld.add(id)
    },
    oldestWithheld: (count) => [...withheld].slice(0, count),
    due(ageMs, now) {
      const ids = [...renewedAt].filter(([, at]) => now - at >= ageMs).map(([id]) => id)
      for (const id of ids) renewedAt.set(id, now)
      return ids
    },
  }
}
