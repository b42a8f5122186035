/**
 * The adding half of Stream mode. One script reads the mode that the operator keeps in Redis and adds, so that a flip acts
 * atomically: whatever is dispatched after it goes the new way, and nothing goes both. A script that was resent after a broken
 * connection may add twice; both entries carry one idempotency key, and the consumer forwards one.
 */
import { failure } from '../api/errors.ts'
import { labelOf, type RedisConnection } from '../redis/connect/connection.ts'
import type { DispatchMode } from '../redis/dispatchconfig.ts'
import type { KeySpace } from '../redis/keys.ts'
import { dispatchAdd } from '../redis/scripts/generated.ts'

/** Bounds of one script: it holds Redis while it runs. */
const chunkEntries = 250
const chunkCharacters = 1_000_000

export interface StreamAdd {
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
export interface StreamEntry {
  readonly flat: readonly string[]
  readonly hasOptions: boolean
}

/**
 * Adds entries in order and returns their ids. It returns fewer ids than entries when the mode in Redis became
 * Direct in between; the rest is not added. Throws OptionsNotTaken and catalogued errors; entries of earlier chunks are then in the stream.
 */
export async function addToStream(
  connection: RedisConnection,
  { stream, modeKey, mode, maxEntries, consumers }: StreamAdd,
  entries: readonly StreamEntry[],
): Promise<string[]> {
  const modeKeys = modeKey === undefined ? [] : [modeKey]
  const heartbeats = consumers.consumer('')
  const ids: string[] = []
  for (const chunk of chunksOf(entries)) {
    const lengths = chunk.map(({ flat }) => flat.length)
    const strings = chunk.flatMap(({ flat }) => flat)
    const registry = chunk.some(({ hasOptions }) => hasOptions) ? consumers.consumers : ''
    const args = { mode, registry, heartbeats, maxEntries: maxEntries ?? 0, lengths, strings }
    const added = await dispatchAdd(connection, { stream, modeKeys }, args)
    if (added.dropping !== '') {
      const detail = 'it is of an earlier release, or its pipeline has no spec.sink.bullmq.allow'
      throw failure('OptionsNotTaken', { consumer: added.dropping, detail })
    }
    if (added.ids === undefined) return ids
    if (added.ids.length !== chunk.length) throw unexpected(connection)
    ids.push(...added.ids)
  }
  return ids
}

function* chunksOf(entries: readonly StreamEntry[]): Generator<readonly StreamEntry[]> {
  let chunk: StreamEntry[] = []
  let characters = 0
  for (const entry of entries) {
    const size = entry.flat.reduce((sum, text) => sum + text.length, 0)
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
