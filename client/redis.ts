/**
 * How the application names its Redis: a URL, a target of a pipeline, or a connection of its own. Connections made here are
 * ended here; a connection that was passed in stays the caller's.
 */
import type { Cluster, Redis } from 'ioredis'
import type { RedisTarget } from '../api/compiled.ts'
import { type ConnectionRole, close, connect, type RedisConnection } from '../redis/connection.ts'
import { directoryReader, type RedisAddress, resolveTarget } from '../redis/references.ts'

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
 * A connection of our own for BullMQ's worker, which demands that commands wait for Redis without bound: a caller's connection
 * is duplicated with that setting. Nothing is sent yet. Throws as `leaseConnection`.
 */
export async function workerConnection(source: RedisSource): Promise<RedisConnection> {
  if (source.kind !== 'Borrowed') return connect(await addressOf(source), 'BullWorker')
  const patient = { lazyConnect: true, maxRetriesPerRequest: null } as const
  const { connection } = source
  return connection.isCluster
    ? (connection as Cluster).duplicate([], { lazyConnect: true, redisOptions: patient })
    : (connection as Redis).duplicate(patient)
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
