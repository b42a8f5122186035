/**
 * Splits a reply with entries of a stream into its parts while the reply arrives. The fields' bytes go from the socket's pieces into
 * memory that the connection's replies use in turn, and nothing else is made of them. Only an entry's id becomes a text at once.
 *
 *   RESP2   [[stream, entries], …]
 *   RESP3   a map of stream and entries
 *   entries [[id, [field, value, …] or nothing], …]
 *
 * Any other form is a problem. The fields of the streams follow one another.
 */

import type { ReplySink } from './assembly.ts'
import { createFieldTable, type FieldList, type FieldTable } from './fieldlist.ts'

interface ReadEntry {
  readonly id: string
  readonly fields: FieldList
}

/** Entries whose fields lie in one table. */
export interface ReadEntries {
  readonly entries: readonly ReadEntry[]
  readonly table: FieldTable
}

const marked = new WeakSet<object>()

/** Whether a command was answered by a sink of this kind. */
export const isReadEntries = (reply: unknown): reply is ReadEntries =>
  typeof reply === 'object' && reply !== null && marked.has(reply)

/** Memory of one reply. */
interface Store {
  bytes: Buffer
  ends: Int32Array
}

interface EntrySinks {
  /** A sink for one reply. @param done called once, when the reply is whole */
  begin(done: (read: ReadEntries) => void): ReplySink
}

const firstBytes = 65_536
const firstTexts = 1_024
/** Memory is released once it is so many times larger than recent replies needed. */
const mostUnused = 4
/** Places for texts that are kept between replies: 1 MiB. A reply of many empty texts may need far more. */
const mostTexts = 2 ** 18
/** Share of the largest reply that counts when the next one is smaller. */
const remembered = 0.98
const wrongForm = 'a reply in another form than entries of streams have'

export function createEntrySinks(): EntrySinks {
  let free: Store | undefined
  let usual = firstBytes
  return {
    begin(done) {
      const store = free ?? { bytes: Buffer.allocUnsafeSlow(firstBytes), ends: new Int32Array(firstTexts) }
      free = undefined
      return createEntrySink(store, (entries, used) => {
        usual = Math.max(used, usual * remembered, firstBytes)
        const reuse = () => {
          if (store.bytes.length <= mostUnused * usual && store.ends.length <= mostTexts) free ??= store
        }
        const table = createFieldTable(store.bytes, store.ends, reuse)
        for (const entry of entries) entry.fields.table = table
        const read = { entries, table }
        marked.add(read)
        done(read)
      })
    },
  }
}

type Growing = { readonly id: string; readonly fields: { table: FieldTable; readonly from: number; to: number } }

const noTable = createFieldTable(Buffer.alloc(0), new Int32Array(0))

/** Lists around the list of entries. */
const outerOf = (isMap: boolean) => (isMap ? 1 : 2)

function createEntrySink(store: Store, done: (entries: readonly Growing[], used: number) => void): ReplySink {
  const entries: Growing[] = []
  let used = 0
  let texts = 0
  /** Items that each open list lacks, outermost first. */
  const missing: number[] = []
  let outer = 2
  let begun = 0

  const isIn = (depth: number) => missing.length === outer + depth
  /** Of the innermost list: no item of it has ended. */
  const isFirst = (count: number) => missing.at(-1) === count

  function reserve(more: number): void {
    if (used + more <= store.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(used + more, 2 * store.bytes.length))
    store.bytes.copy(larger, 0, 0, used)
    store.bytes = larger
  }

  /** An item of the innermost list has ended, and with it each list that lacked only this one. */
  function ended(): undefined {
    while (missing.length > 0) {
      const left = (missing.at(-1) ?? 0) - 1
      missing[missing.length - 1] = left
      if (left > 0) return undefined
      missing.pop()
    }
    done(entries, used)
    return undefined
  }

  function keepText(): undefined {
    if (texts === store.ends.length) {
      const larger = new Int32Array(2 * texts)
      larger.set(store.ends)
      store.ends = larger
    }
    store.ends[texts] = used
    texts += 1
    begun = used
    const entry = entries.at(-1)
    if (entry !== undefined) entry.fields.to = texts
    return ended()
  }

  return {
    get held() {
      return store.bytes.length + store.ends.byteLength
    },
    begin(count, isMap) {
      if (missing.length === 0) outer = outerOf(isMap)
      else if (isMap) return wrongForm
      // Of an entry: two items, the second of which is the list of fields. Of a stream: its name, and the list of entries.
      if (isIn(1) && count !== 2) return wrongForm
      if (isIn(2) && !(isFirst(1) && count % 2 === 0)) return wrongForm
      if (missing.length > outer + 2) return wrongForm
      if (missing.length === 1 && outer === 2 && count !== 2) return wrongForm
      if (missing.length === outer && (missing.at(-1) ?? 0) % 2 !== 1) return wrongForm
      if (count === 0) return ended()
      missing.push(count)
      return undefined
    },
    append(piece, from, to) {
      reserve(to - from)
      piece.copy(store.bytes, used, from, to)
      used += to - from
    },
    text() {
      if (isIn(3)) return keepText()
      if (isIn(2) && isFirst(2)) {
        entries.push({ id: store.bytes.toString('latin1', begun, used), fields: { table: noTable, from: texts, to: texts } })
        used = begun
        return ended()
      }
      // The name of a stream.
      if (missing.length === outer && (missing.at(-1) ?? 0) % 2 === 0) {
        used = begun
        return ended()
      }
      return wrongForm
    },
    other(value) {
      // The entry is deleted.
      if (value === null && isIn(2) && isFirst(1)) return ended()
      return wrongForm
    },
  }
}
