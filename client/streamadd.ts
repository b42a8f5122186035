/**
 * The adding half of Stream mode. One script reads the mode that the operator keeps in Redis, and adds. So a flip acts atomically:
 * every later request goes the new way, and no request goes both ways. A script that was resent after a broken connection may add
 * twice; both entries carry one idempotency key, and the consumer forwards one.
 */
import { failure } from '../api/errors.ts'
import { labelOf, type RedisConnection } from '../redis/connect/connection.ts'
import type { DispatchMode } from '../redis/dispatchconfig.ts'
import type { KeySpace } from '../redis/keys.ts'
import { dispatchAdd, dispatchOne } from '../redis/scripts/generated.ts'
import { packEntries } from './entrypacking.ts'

/** Bounds of one script: it holds Redis while it runs. */
const chunkEntries = 250
const chunkCharacters = 1_000_000

interface StreamAdd {
  readonly stream: string
  /** Key of the mode in Redis; undefined when the mode is pinned. */
  readonly modeKey: string | undefined
  /** In force while Redis has no mode. */
  readonly mode: DispatchMode
  readonly maxEntries: number | undefined
  /** Where consumers say whether they take options of a request. */
  readonly consumers: Pick<KeySpace, 'consumer' | 'consumers'>
}

/** One entry: flat field, value, … */
interface StreamEntry {
  readonly flat: readonly string[]
  readonly hasOptions: boolean
}

/**
 * Adds entries in order and returns their ids. It returns fewer ids than entries when the mode in Redis became
 * Direct in between; the rest is not added. Throws OptionsNotTaken and catalogued errors; entries of earlier chunks are then in the stream.
 */
export async function addToStream(
  connection: RedisConnection,
  add: StreamAdd,
  entries: readonly StreamEntry[],
): Promise<readonly string[]> {
  const [alone] = entries
  if (alone !== undefined && entries.length === 1 && !alone.hasOptions) return await addOne(connection, add, alone)
  const ids: string[] = []
  for (const chunk of chunksOf(entries)) {
    const added = await addChunk(connection, add, chunk)
    if (added.length === 0) return ids
    ids.push(...added)
  }
  return ids
}

const modeKeysOf = ({ modeKey }: StreamAdd): readonly string[] => (modeKey === undefined ? [] : [modeKey])

async function addOne(connection: RedisConnection, add: StreamAdd, { flat }: StreamEntry): Promise<readonly string[]> {
  const { stream, mode, maxEntries = 0 } = add
  const { id } = await dispatchOne(connection, { stream, modeKeys: modeKeysOf(add) }, { mode, maxEntries, flat })
  return id === '' ? [] : [id]
}

/** Returns the ids, or none where the mode is Direct. */
async function addChunk(connection: RedisConnection, add: StreamAdd, chunk: readonly StreamEntry[]): Promise<readonly string[]> {
  const { stream, mode, maxEntries = 0, consumers } = add
  const registry = chunk.some(({ hasOptions }) => hasOptions) ? consumers.consumers : ''
  const args = { mode, registry, heartbeats: consumers.consumer(''), maxEntries, ...packEntries(chunk.map(({ flat }) => flat)) }
  const { ids, dropping } = await dispatchAdd(connection, { stream, modeKeys: modeKeysOf(add) }, args)
  if (dropping !== '') {
    const detail = 'it is of an earlier release, or its pipeline has no spec.sink.bullmq.allow'
    throw failure('OptionsNotTaken', { consumer: dropping, detail })
  }
  if (ids === '') return []
  const given = ids.split(' ')
  if (given.length !== chunk.length) throw unexpected(connection)
  return given
}

function* chunksOf(entries: readonly StreamEntry[]): Generator<readonly StreamEntry[]> {
  let chunk: StreamEntry[] = []
  let characters = 0
  for (const entry of entries) {
    let size = 0
    for (const text of entry.flat) size += text.length
    if (chunk.length > 0 && (chunk.length === chunkEntries || characters + size > chunkCharacters)) {
      yield chunk
      chunk = []
      characters = 0
    }
    chunk.push(entry)
    characters += size
  }
  if (chunk.length > 0) yield chunk
}

function unexpected(connection: RedisConnection) {
  return failure('RedisCommandFailed', { command: 'XADD', detail: `an unexpected reply from ${labelOf(connection)}` })
}
