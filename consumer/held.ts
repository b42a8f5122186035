/**
 * The entries this process has in memory: read or claimed and not yet settled. Only they are renewed: an entry that the server
 * counts as ours but that never reached us (a lost reply) must grow idle and be reclaimed.
 */
export interface HeldEntries {
  readonly size: number
  has(id: string): boolean
  add(ids: readonly string[], now: number): void
  remove(ids: readonly string[]): void
  /** Those not renewed (or taken) for at least `ageMs`; they count as renewed at `now`. */
  due(ageMs: number, now: number): readonly string[]
}

export function createHeldEntries(): HeldEntries {
  const renewedAt = new Map<string, number>()
  return {
    get size() {
      return renewedAt.size
    },
    has: (id) => renewedAt.has(id),
    add(ids, now) {
      for (const id of ids) renewedAt.set(id, now)
    },
    remove(ids) {
      for (const id of ids) renewedAt.delete(id)
    },
    due(ageMs, now) {
      const ids = [...renewedAt].filter(([, at]) => now - at >= ageMs).map(([id]) => id)
      for (const id of ids) renewedAt.set(id, now)
      return ids
    },
  }
}
