/** The stream of a test pipeline: its entries, and the search among them. */
import type { EntryStatus } from '../../redis/status/entrystate.ts'
import type { Plan } from '../plan.ts'
import { createIds } from './ids.ts'

export interface StoredEntry {
  readonly id: string
  readonly flat: readonly Buffer[]
  state: 'Unread' | 'Settled'
}

interface Entries {
  append(flat: readonly string[]): string
  unread(): Iterable<StoredEntry>
  find(id: string | undefined): StoredEntry | undefined
  /** The newest entry of a key, among so many of the newest. */
  search(hash: string, scanned: number): StoredEntry | undefined
  /** Hash of the entry's key; undefined where the codec refuses the entry. */
  hashOf(entry: StoredEntry): string | undefined
}

export function createEntries({ codec }: Plan, now: () => number): Entries {
  const all: StoredEntry[] = []
  const nextId = createIds(now)
  const hashOf = ({ flat }: StoredEntry) => {
    const decoded = codec.decode(flat)
    return decoded.kind === 'Valid' ? decoded.hash : undefined
  }
  return {
    append(flat) {
      const id = nextId()
      all.push({ id, flat: flat.map((text) => Buffer.from(text)), state: 'Unread' })
      return id
    },
    unread: () => all.filter(({ state }) => state === 'Unread'),
    find: (wanted) => all.find(({ id }) => id === wanted),
    search: (hash, scanned) => (scanned <= 0 ? undefined : all.slice(-scanned).findLast((entry) => hashOf(entry) === hash)),
    hashOf,
  }
}

/** As `status` shows it. */
export function entryStatusOf({ id, state, flat }: StoredEntry): EntryStatus {
  const at = flat.findIndex((part, place) => place % 2 === 0 && String(part) === 'sp-redrives')
  return { id, state, redrives: at < 0 ? 0 : Number(flat[at + 1]) }
}
