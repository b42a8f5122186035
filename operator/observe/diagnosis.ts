/**
 * Turns the failure of a look at Redis into the change that a person has to make. A reply such as WRONGTYPE or MOVED names neither
 * the key nor the field of the spec; asking once more finds them.
 */
import { Cluster, Redis } from 'ioredis'
import type { CompiledPipeline } from '../../api/compiled.ts'
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import { failureOn, labelOf, type RedisConnection } from '../../redis/connect/connection.ts'
import { withoutPasswords } from '../../redis/connect/redaction.ts'
import { redisFailure, replyCode } from '../../redis/connect/replies.ts'
import { keySpace } from '../../redis/keys.ts'
import { checkOperatorRights, checkRights } from '../../redis/preflight/permissioncheck.ts'

/** Throws RedisNotReady at a replica. A write would show it too, but costs the connection: ioredis takes READONLY for a failover. */
export async function checkWritable(connection: RedisConnection): Promise<void> {
  if (connection instanceof Cluster) return
  const info = String(await connection.call('INFO', 'replication'))
  if (!/^role:slave\r?$/m.test(info)) return
  const [host, port] = ['master_host', 'master_port'].map((field) => new RegExp(`^${field}:(\\S+)`, 'm').exec(info)?.[1] ?? '?')
  throw failure('RedisNotReady', {
    address: labelOf(connection),
    reply: 'READONLY',
    detail: `it is a replica of ${host}:${port}`,
  })
}

/** The catalogued failure of `work`; undefined: it succeeded. */
export async function refusalOf(
  work: () => Promise<void>,
  connection: RedisConnection,
): Promise<StreamPipelineError | undefined> {
  try {
    await work()
    return undefined
  } catch (thrown) {
    return failureOn(connection, thrown)
  }
}

export async function diagnosed(
  thrown: unknown,
  pipeline: CompiledPipeline,
  connection: RedisConnection | undefined,
  queue: RedisConnection | undefined,
): Promise<StreamPipelineError> {
  const error = connection === undefined ? asFailure(thrown) : failureOn(connection, thrown)
  if (connection === undefined) return error
  const code = replyCode(error)
  if (code === undefined) return (await unready(connection)) ?? error
  if (code === 'WRONGTYPE') return (await misfit(pipeline, connection, queue ?? connection)) ?? error
  if (code === 'CROSSSLOT' || ((code === 'MOVED' || code === 'CLUSTERDOWN') && pipeline.redis.kind !== 'Cluster')) {
    return clusterMisused(pipeline, connection, error)
  }
  // Within a script a refused command is an ERR like any other (Redis 7.0), and names neither itself nor its key.
  if (code === 'ERR' || code === 'NOPERM') return (await rightsMissing(pipeline, connection, queue)) ?? error
  return error
}

async function rightsMissing(
  pipeline: CompiledPipeline,
  connection: RedisConnection,
  queue: RedisConnection | undefined,
): Promise<StreamPipelineError | undefined> {
  // The queue's own Redis is not known yet, and no right to its keys is needed here.
  if (pipeline.sink.redis !== undefined && queue === undefined) return undefined
  const refusal = await refusalOf(async () => {
    await checkRights(pipeline, connection, queue ?? connection)
    await checkOperatorRights(pipeline, connection)
  }, connection)
  return refusal?.code === 'RedisPermissionDenied' ? refusal : undefined
}

/** The answer of a server that takes connections and is not ready: ioredis keeps commands back until it is, and they time out. */
async function unready(connection: RedisConnection): Promise<StreamPipelineError | undefined> {
  if (!(connection instanceof Redis) || connection.status !== 'connect') return undefined
  const probe = connection.duplicate({
    enableReadyCheck: false,
    lazyConnect: true,
    retryStrategy: () => null,
    commandTimeout: 1_000,
  })
  // The commands report it.
  probe.on('error', () => undefined)
  try {
    await probe.connect()
    await probe.ping()
    return undefined
  } catch (thrown) {
    return replyCode(thrown) === undefined ? undefined : redisFailure(withoutPasswords(thrown, connection), labelOf(connection))
  } finally {
    probe.disconnect()
  }
}

function clusterMisused(
  pipeline: CompiledPipeline,
  connection: RedisConnection,
  error: StreamPipelineError,
): StreamPipelineError {
  const { source, deadLetter, sink } = pipeline
  const detail = `it is a node of a Redis Cluster (${replyCode(error)}), where ${source.stream}, ${deadLetter.stream} and ${sink.prefix}:${sink.queue} must lie in one slot`
  const advice =
    'name its nodes in spec.redis.cluster, and leave deadLetter.stream and sink.bullmq.prefix out: the derived names share the slot'
  return failure('RedisUnfit', { address: labelOf(connection), detail, advice }, error)
}

type KeyType = 'stream' | 'hash' | 'list' | 'zset'

/** The key that holds something else than it should. */
async function misfit(
  { source, deadLetter, sink }: CompiledPipeline,
  connection: RedisConnection,
  queue: RedisConnection,
): Promise<StreamPipelineError | undefined> {
  const keys = keySpace(source.stream, source.group)
  const expected: readonly (readonly [RedisConnection, string, KeyType])[] = [
    [connection, source.stream, 'stream'],
    [connection, deadLetter.stream, 'stream'],
    [connection, keys.consumers, 'hash'],
    [connection, keys.stats, 'hash'],
    [queue, `${sink.prefix}:${sink.queue}:wait`, 'list'],
    [queue, `${sink.prefix}:${sink.queue}:paused`, 'list'],
    [queue, `${sink.prefix}:${sink.queue}:prioritized`, 'zset'],
    [queue, `${sink.prefix}:${sink.queue}:meta`, 'hash'],
  ]
  for (const [where, key, type] of expected) {
    try {
      const actual = await where.type(key)
      if (actual !== 'none' && actual !== type) return failure('WrongKeyType', { key, actual, expected: type })
    } catch (thrown) {
      return failureOn(where, thrown)
    }
  }
  return undefined
}
