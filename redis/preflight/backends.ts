/**
 * The conditions that a Redis must fulfil before the first entry is read from it. Each finding names the thing and the remedy. They
 * are checked at start, because a script does not roll back after an error. A key of the wrong type would leave a job hash that is
 * in no list, and the next run would take it for success.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { failureOn, labelOf, type RedisConnection } from '../connect/connection.ts'
import { keyTypes } from '../scripts/generated.ts'
import { checkRights } from './permissioncheck.ts'

/** Oldest server whose streams behave as the scripts need (XAUTOCLAIM's trimmed ids, `lag`); what the tests run on. */
const minimumVersion = [7, 0] as const

/** Checks rights, servers and keys of stream and queue. Throws RedisPermissionDenied, RedisUnfit, WrongKeyType, or why Redis could not be asked. */
export async function checkBackends(pipeline: CompiledPipeline, stream: RedisConnection, queue: RedisConnection): Promise<void> {
  await checkRights(pipeline, stream, queue)
  await checkServer(stream)
  if (queue !== stream) await checkServer(queue)
  await checkKeys(pipeline, stream, queue)
}

/** That keys hold what they should, or nothing. Throws WrongKeyType, or why Redis could not be asked. */
export async function checkKeys(
  { source, deadLetter, sink }: CompiledPipeline,
  stream: RedisConnection,
  queue: RedisConnection,
): Promise<void> {
  const queueKey = (part: string) => `${sink.prefix}:${sink.queue}:${part}`
  const inStream = streamKeys({ source, deadLetter })
  const inQueue: Expected = [
    [queueKey('meta'), 'hash'],
    [queueKey('wait'), 'list'],
    [queueKey('active'), 'list'],
    [queueKey('delayed'), 'zset'],
    [queueKey('prioritized'), 'zset'],
    [queueKey('completed'), 'zset'],
    [queueKey('failed'), 'zset'],
    [queueKey('events'), 'stream'],
    [queueKey('marker'), 'zset'],
    [queueKey('id'), 'string'],
    [queueKey('pc'), 'string'],
  ]
  if (stream === queue && !stream.isCluster) return await checkTypes(stream, [...inStream, ...inQueue])
  await checkTypes(stream, inStream)
  await checkTypes(queue, inQueue)
}

/** The same for the stream and its dead letters alone. */
export async function checkStreamKeys(pipeline: CompiledPipeline, stream: RedisConnection): Promise<void> {
  await checkTypes(stream, streamKeys(pipeline))
}

function streamKeys({ source, deadLetter }: Pick<CompiledPipeline, 'source' | 'deadLetter'>): Expected {
  return [
    [source.stream, 'stream'],
    [deadLetter.stream, 'stream'],
  ]
}

/**
 * Checks the version and eviction policy of a server, once for all pipelines that use it. Throws RedisUnfit, or why Redis could not
 * be asked.
 */
export async function checkServer(connection: RedisConnection): Promise<void> {
  // Only what is looked at, and one by one: a server that is too old takes no more at a time.
  const ask = () => Promise.all(['server', 'memory'].map((section) => connection.call('INFO', section)))
  const info = (await answered(connection, ask)).join('\n')
  const version = /^redis_version:(\d+)\.(\d+)/m.exec(info)
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)]
  const unfit = (detail: string, advice: string) => failure('RedisUnfit', { address: labelOf(connection), detail, advice })
  if (major < minimumVersion[0] || (major === minimumVersion[0] && minor < minimumVersion[1])) {
    throw unfit(`it is version ${major}.${minor}`, `upgrade it to ${minimumVersion.join('.')} or later`)
  }
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? 'noeviction'
  if (policy !== 'noeviction') {
    const advice = 'set it: CONFIG SET maxmemory-policy noeviction, and in the server configuration'
    throw unfit(`its maxmemory-policy is ${policy}, which evicts the marks that prevent duplicates, and jobs`, advice)
  }
}

type Expected = readonly (readonly [key: string, type: 'stream' | 'hash' | 'list' | 'zset' | 'string'])[]

async function checkTypes(connection: RedisConnection, expected: Expected): Promise<void> {
  const keys = expected.map(([key]) => key)
  const { types } = await keyTypes(connection, { keys })
  for (const [index, [key, type]] of expected.entries()) {
    const actual = types[index]
    if (actual === undefined) throw failure('Internal', { detail: `TYPE ${key} was not answered` })
    if (actual !== 'none' && actual !== type) throw failure('WrongKeyType', { key, actual, expected: type })
  }
}

async function answered<T>(connection: RedisConnection, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}
