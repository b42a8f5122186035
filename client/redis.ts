/**
 * How the application names its Redis: a URL, a target of a pipeline, or a connection of its own. Connections made here are
 * ended here; a connection that was passed in stays the caller's.
 */
import type { Cluster, Redis, RedisOptions } from 'ioredis'
import type { RedisTarget } from '../api/compiled.ts'
import { type ConnectionRole, close, connect, type RedisConnection } from '../redis/connect/connection.ts'
import { directoryReader, type RedisAddress, resolveTarget } from '../redis/connect/references.ts'

/**
 * `redis://[user:password@]host:port/database` (`rediss:` for TLS), or an ioredis connection, which is used as it is and never
 * closed by this library.
 */
export type RedisInput = string | RedisConnection

/** Where a connection will come from. A target's Secrets are read only then: factories do no I/O. */
export type RedisSource =
  | { readonly kind: 'Url'; readonly url: string }
  | { readonly kind: 'Borrowed'; readonly connection: RedisConnection }
  | { readonly kind: 'Target'; readonly target: RedisTarget; readonly refs: string | undefined }

export function redisSource(input: RedisInput): RedisSource {
  return typeof input === 'string' ? { kind: 'Url', url: input } : { kind: 'Borrowed', connection: input }
}

export interface Lease {
  readonly connection: RedisConnection
  /** Ends the connection if it was made here. Idempotent. */
  end(): Promise<void>
}

/** A connection to use, made or borrowed; nothing is sent yet. Throws ReferenceMissing, InvalidReference, InvalidOption. */
export async function leaseConnection(source: RedisSource, role: ConnectionRole): Promise<Lease> {
  if (source.kind === 'Borrowed') return { connection: source.connection, end: async () => {} }
  const connection = connect(await addressOf(source), role)
  return { connection, end: async () => await close(connection) }
}

/**
 * A connection of our own for BullMQ's worker, which demands that commands wait for Redis without bound. A caller's connection is
 * duplicated with that setting and without its limits of time: BullMQ blocks for seconds on what it duplicates from this one, and a
 * wait that the client gives up goes on in Redis, where it takes the next job's marker for nobody. Jobs then lie until the next one.
 * Nothing is sent yet. Throws as `leaseConnection`.
 */
export async function workerConnection(source: RedisSource): Promise<RedisConnection> {
  if (source.kind !== 'Borrowed') return connect(await addressOf(source), 'BullWorker')
  const patient = { lazyConnect: true, maxRetriesPerRequest: null, enableOfflineQueue: true } as const
  const { connection } = source
  if (connection.isCluster) {
    const own = (connection as Cluster).duplicate([], { lazyConnect: true, enableOfflineQueue: true, redisOptions: patient })
    withoutTimeLimits(own.options.redisOptions ?? {})
    return own
  }
  const own = (connection as Redis).duplicate(patient)
  withoutTimeLimits(own.options)
  return own
}

function withoutTimeLimits(options: Pick<RedisOptions, 'commandTimeout' | 'socketTimeout' | 'blockingTimeout'>): void {
  delete options.commandTimeout
  delete options.socketTimeout
  delete options.blockingTimeout
}

async function addressOf(source: Exclude<RedisSource, { kind: 'Borrowed' }>): Promise<RedisAddress> {
  switch (source.kind) {
    case 'Url':
      return await resolveTarget({ kind: 'Url', url: source.url }, directoryReader(undefined))
    case 'Target':
      return await resolveTarget(source.target, directoryReader(source.refs))
    default:
      return source satisfies never
  }
}
