/** The dead letters of a test pipeline. */
import type { DeadLetterReason } from '../../redis/record.ts'
import type { DeadStatus } from '../../redis/status/entrystate.ts'
import { createIds } from './ids.ts'

/** A dead letter of the test pipeline. */
export interface TestDeadLetter {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly error: string
  /** Id of the entry; empty after a direct dispatch. */
  readonly entry: string
  /** Hash of the idempotency key; empty where there is none. */
  readonly key: string
  /** The entry's fields as they came; of a direct dispatch, those that it would have had. */
  readonly fields: Readonly<Record<string, string>>
  /** Deliveries of the entry, or attempts of the job. */
  readonly deliveries: number
  /** Milliseconds since 1970. */
  readonly deadAt: number
  readonly redrives: number
}

interface DeadLetters {
  readonly all: readonly TestDeadLetter[]
  /** @param flat the entry: field, value, … */
  add(letter: Omit<TestDeadLetter, 'id' | 'deadAt' | 'fields'>, flat: readonly Buffer[]): void
  /** The record and the entry with its count of replays raised; undefined: there is no such record. */
  find(id: string): { readonly letter: TestDeadLetter; readonly flat: readonly string[] } | undefined
  remove(id: string): void
  /** Of a request: by its key, or by its entry where no key could be read. */
  of(hash: string | undefined, entry: string | undefined): readonly DeadStatus[]
}

export function createDeadLetters(now: () => number): DeadLetters {
  const all: TestDeadLetter[] = []
  const nextId = createIds(now)
  const entries = new Map<string, readonly Buffer[]>()
  return {
    all,
    add(letter, flat) {
      const id = nextId()
      entries.set(id, flat)
      all.push({ id, ...letter, fields: named(flat), deadAt: now() })
    },
    find(id) {
      const letter = all.find((each) => each.id === id)
      return letter && { letter, flat: again(entries.get(id) ?? [], letter.redrives + 1) }
    },
    remove(id) {
      entries.delete(id)
      const at = all.findIndex((each) => each.id === id)
      if (at >= 0) all.splice(at, 1)
    },
    of(hash, entry) {
      const own = all.filter(({ key, entry: id }) => (key === '' ? entry !== undefined && id === entry : key === hash))
      return own.map(({ fields: _, key: __, ...dead }) => dead)
    },
  }
}

/** As a replay on Redis restores it: the count goes last. */
function again(flat: readonly Buffer[], redrives: number): string[] {
  const kept = flat.map(String).filter((_, at) => String(flat[at - (at % 2)]) !== 'sp-redrives')
  return [...kept, 'sp-redrives', String(redrives)]
}

function named(flat: readonly Buffer[]): Record<string, string> {
  return Object.fromEntries(Array.from({ length: flat.length >> 1 }, (_, at) => [String(flat[2 * at]), String(flat[2 * at + 1])]))
}
