/**
 * The fields of entries as Redis sent them: field, value, …, one after the other in one piece of memory. Nothing is made per field
 * until its text is wanted. An object for each field was most of the memory that a consumer kept for longer than a collection of
 * young objects.
 *
 * Held       from the arrival of a reply on.
 * Released   its memory serves the next reply. Reading from it is a bug, and is reported as one.
 */
import { failure } from '../../api/errors.ts'

/** The fields of all entries of one reply. */
export interface FieldTable {
  readonly bytes: Buffer
  /** Where each text ends. It begins where the one before ends. */
  readonly ends: Int32Array
  readonly isReleased: boolean
  /** Idempotent. From now on nothing may be read from it. */
  release(): void
}

/** The fields of one entry. */
export interface FieldList {
  readonly table: FieldTable
  /** Number of its first text … */
  readonly from: number
  /** … and of the first text behind it. */
  readonly to: number
}

/** @param reuse receives the memory back */
export function createFieldTable(bytes: Buffer, ends: Int32Array, reuse?: () => void): FieldTable {
  let isReleased = false
  return {
    bytes,
    ends,
    get isReleased() {
      return isReleased
    },
    release() {
      if (isReleased) return
      isReleased = true
      reuse?.()
    },
  }
}

/** Where a text begins. */
export const beginOf = ({ ends }: FieldTable, index: number): number => (index === 0 ? 0 : (ends[index - 1] ?? 0))

/** Throws Internal where the table is released. */
export function checkHeld({ table }: FieldList): void {
  if (table.isReleased) throw failure('Internal', { detail: 'fields of an entry are read after their memory was given back' })
}

/** Of all names and values. */
export function bytesOf({ table, from, to }: FieldList): number {
  return to === from ? 0 : (table.ends[to - 1] ?? 0) - beginOf(table, from)
}

/** Fields that are there one by one. @param parts field, value, … */
export function listOfBuffers(parts: readonly Buffer[]): FieldList {
  let end = 0
  const ends = Int32Array.from(parts, ({ length }) => {
    end += length
    return end
  })
  return { table: createFieldTable(Buffer.concat(parts, end), ends), from: 0, to: parts.length }
}
