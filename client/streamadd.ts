/**
 * The adding half of Stream mode. One script reads the mode that the operator keeps in Redis and adds, so that a flip acts
 * atomically: whatever is dispatched after it goes the new way, and nothing goes both. A script that was resent after a broken
 * connection may add twice; both entries carry one idempotency key, and the consumer forwards one.
 */
import { failure } from '../api/errors.ts'
import { labelOf, type RedisConnection } from '../redis/connect/connection.ts'
import type { DispatchMode } from '../redis/dispatchconfig.ts'
import { defineScript, type ScriptArgument } from '../redis/scripts/script.ts'

/*
 * KEYS: the stream, and the mode's key unless the mode is pinned. ARGV: the mode where Redis has none, the approximate bound on
 * the stream (0: none), then per entry the number of its strings and the strings. Replies the ids, or nil: go Direct.
 */
const add = defineScript(
  'dispatchAdd',
  `local mode = KEYS[2] and redis.call('GET', KEYS[2])
if mode ~= 'Stream' and mode ~= 'Direct' then mode = ARGV[1] end
if mode == 'Direct' then return false end
local ids = {}
local at = 3
while at <= #ARGV do
  local command = {'XADD', KEYS[1]}
  if ARGV[2] ~= '0' then
    command[3], command[4], command[5] = 'MAXLEN', '~', ARGV[2]
  end
  command[#command + 1] = '*'
  local last = at + tonumber(ARGV[at])
  for i = at + 1, last do command[#command + 1] = ARGV[i] end
  ids[#ids + 1] = redis.call(unpack(command))
  at = last + 1
end
return ids`,
)

/** Bounds of one script: it holds Redis while it runs. */
const chunkEntries = 250
const chunkCharacters = 1_000_000

export interface StreamAdd {
  readonly stream: string
  /** Key of the mode in Redis; undefined when the mode is pinned. */
  readonly modeKey: string | undefined
  /** What counts while Redis has no mode. */
  readonly mode: DispatchMode
  readonly maxEntries: number | undefined
}

/**
 * Adds entries (flat field, value, …) in order. Replies with their ids: fewer than were given when Redis said Direct at some
 * point, the rest being untouched. Throws catalogued errors; entries of earlier chunks then are in the stream.
 */
export async function addToStream(
  connection: RedisConnection,
  { stream, modeKey, mode, maxEntries }: StreamAdd,
  entries: readonly (readonly string[])[],
): Promise<string[]> {
  const keys = modeKey === undefined ? [stream] : [stream, modeKey]
  const ids: string[] = []
  for (const chunk of chunksOf(entries)) {
    const args: ScriptArgument[] = [mode, maxEntries ?? 0]
    for (const flat of chunk) args.push(flat.length, ...flat)
    const reply = await add.run(connection, keys, args)
    if (reply === null) return ids
    if (!Array.isArray(reply) || reply.length !== chunk.length) throw unexpected(connection)
    ids.push(...reply.map(String))
  }
  return ids
}

function* chunksOf(entries: readonly (readonly string[])[]): Generator<readonly (readonly string[])[]> {
  let chunk: (readonly string[])[] = []
  let characters = 0
  for (const flat of entries) {
    const size = flat.reduce((sum, text) => sum + text.length, 0)
    if (chunk.length > 0 && (chunk.length === chunkEntries || characters + size > chunkCharacters)) {
      yield chunk
      chunk = []
      characters = 0
    }
    chunk.push(flat)
    characters += size
  }
  if (chunk.length > 0) yield chunk
}

function unexpected(connection: RedisConnection) {
  return failure('RedisCommandFailed', { command: 'XADD', detail: `an unexpected reply from ${labelOf(connection)}` })
}
