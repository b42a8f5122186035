/**
 * A script's call in one piece, as it goes to Redis: a short one is a text, a long one a Buffer. ioredis would make a Buffer of each argument's length, of each text and of
 * each line end, and keep all arguments until the reply comes. Under an even load that was a quarter of what the consumer kept for longer
 * than a collection of young objects, and an eighth of all that it allocated.
 *
 * ioredis still routes the call, keeps it in order, and sends it again after a lost connection. It sees the keys among the arguments.
 */
import { createHash } from 'node:crypto'
import { Cluster, Command, Redis } from 'ioredis'
import type { RedisConnection } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import { giveBackMemory, takeMemory } from './callmemory.ts'

export type ScriptArgument = string | number | Buffer

interface EncodedScript {
  readonly lua: string
  readonly sha: string
}

export const encodedScript = (lua: string): EncodedScript => ({ lua, sha: createHash('sha1').update(lua).digest('hex') })

/** Whether the connection is one of this ioredis, and adds nothing to keys: an application may lend a connection of another release. */
export function takesEncodedCalls(connection: RedisConnection): boolean {
  if (connection instanceof Redis) return !connection.options.keyPrefix
  return connection instanceof Cluster && !connection.options.keyPrefix && !connection.options.redisOptions?.keyPrefix
}

/**
 * Runs the script by its sum, and by its text where the server does not know it. Rejects with what ioredis rejects with. No async function:
 * it would keep the arguments alive until the reply arrives.
 * @param encoding of texts in the reply; null: they are Buffers
 */
export function callEncoded(
  connection: RedisConnection,
  { lua, sha }: EncodedScript,
  keys: readonly string[],
  args: readonly ScriptArgument[],
  encoding: 'utf8' | null,
): Promise<unknown> {
  const { bySum, byText, answered } = shortCall(sha, keys, args) ?? longCall(sha, keys, args)
  const send = (name: string, script: string, whole: string | Buffer) => {
    // Its arguments are what ioredis looks at: a cluster's connection at the keys.
    const seen = connection instanceof Cluster ? [script, String(keys.length), ...keys] : [script]
    const command = new Command(name, seen, { replyEncoding: encoding })
    command.toWritable = () => whole
    return connection.sendCommand(command) as Promise<unknown>
  }
  const done = (reply: unknown) => {
    answered()
    return reply
  }
  const refused = (thrown: unknown) => {
    if (replyCode(thrown) !== undefined) answered()
    throw thrown
  }
  return send('evalsha', sha, bySum).then(done, (thrown: unknown) => {
    if (replyCode(thrown) !== 'NOSCRIPT') return refused(thrown)
    return send('eval', lua, byText(lua)).then(done, refused)
  })
}

interface Call {
  /** The whole command EVALSHA. */
  readonly bySum: string | Buffer
  /** The whole command EVAL. */
  readonly byText: (lua: string) => string | Buffer
  /** The server has answered, so that it has read the whole command. */
  readonly answered: () => void
}

/** Node writes a text of up to some 5,000 characters to the socket without an allocation. */
const shortCharacters = 4_096

/** One text. It takes half the time of a Buffer, and no memory outside V8's. Undefined for long and binary arguments. */
function shortCall(sha: string, keys: readonly string[], args: readonly ScriptArgument[]): Call | undefined {
  let rest = part(String(keys.length))
  for (const key of keys) rest += part(key)
  for (const arg of args) {
    if (typeof arg === 'object') return undefined
    rest += part(typeof arg === 'number' ? String(arg) : arg)
    if (rest.length > shortCharacters) return undefined
  }
  const head = `*${keys.length + args.length + 3}\r\n`
  const command = (name: string, script: string) => head + part(name) + part(script) + rest
  return { bySum: command('evalsha', sha), byText: (lua) => command('eval', lua), answered() {} }
}

const part = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`

/** One Buffer. */
function longCall(sha: string, keys: readonly string[], args: readonly ScriptArgument[]): Call {
  const first = encode(['evalsha', sha, keys.length], keys, args)
  const rest = { count: first.count - 2, parts: first.whole.subarray(first.thirdAt) }
  return {
    bySum: first.whole,
    byText: (lua) => encode(['eval', lua], [], [], rest).whole,
    answered: () => giveBackMemory(first.memory),
  }
}

/** Most bytes around a part's text: a count or length such as `$12\r\n`, and the line end. */
const mostAround = 16
const [star, dollar, zero, carriageReturn, lineFeed] = [42, 36, 48, 13, 10]
const noMore = { count: 0, parts: Buffer.alloc(0) }

/**
 * A command of all these parts. It makes no object for a part, except of a number.
 * @param more encoded parts that follow
 */
function encode(
  head: readonly ScriptArgument[],
  keys: readonly string[],
  args: readonly ScriptArgument[],
  more: { readonly count: number; readonly parts: Buffer } = noMore,
) {
  const count = head.length + keys.length + args.length + more.count
  const encoded = takeMemory(mostAround + mostOf(head) + mostOf(keys) + mostOf(args) + more.parts.length)
  let at = 0
  let thirdAt = 0
  const number = (type: number, value: number) => {
    encoded[at] = type
    let end = at + 2
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) end += 1
    at = end
    for (let rest = value, place = end - 1; ; rest = Math.floor(rest / 10), place--) {
      encoded[place] = zero + (rest % 10)
      if (rest < 10) break
    }
    lineEnd()
  }
  const lineEnd = () => {
    encoded[at] = carriageReturn
    encoded[at + 1] = lineFeed
    at += 2
  }
  const put = (given: ScriptArgument) => {
    const part = typeof given === 'number' ? String(given) : given
    number(dollar, typeof part === 'string' ? Buffer.byteLength(part) : part.length)
    at += typeof part === 'string' ? encoded.write(part, at) : part.copy(encoded, at)
    lineEnd()
  }
  number(star, count)
  for (let index = 0; index < head.length; index++) {
    if (index === 2) thirdAt = at
    put(head[index] ?? '')
  }
  for (const key of keys) put(key)
  for (const arg of args) put(arg)
  at += more.parts.copy(encoded, at)
  return { whole: encoded.subarray(0, at), memory: encoded, thirdAt, count }
}

/** Bytes that the parts take at most. A number has no more than 24 digits and signs. */
function mostOf(parts: readonly ScriptArgument[]): number {
  let most = 0
  for (const part of parts) most += mostAround + (typeof part === 'number' ? 24 : Buffer.byteLength(part))
  return most
}
