/**
 * How the application names its Redis: a URL, a target of a pipeline, or a connection of its own. Connections made here are
 * ended here; a connection that was passed in stays the caller's.
 */
import type { RedisOptions } from 'ioredis'
import type { RedisTarget } from '../api/compiled.ts'
import { asFailure } from '../api/errors.ts'
import { type ConnectionRole, close, connect, isCluster, type RedisConnection } from '../redis/connect/connection.ts'
import { endCleanly, endNodesCleanly } from '../redis/connect/ending.ts'
import { directoryReader, parseRedisUrl, type RedisAddress, resolveTarget } from '../redis/connect/references.ts'
import { checkDatabase, checkInput, checkLent, databaseOf } from './lent.ts'

/** A target of a pipeline, whose Secrets lie in a folder. */
interface Named {
  readonly target: RedisTarget
  readonly refs: string | undefined
}

/** Where a connection will come from. A target's Secrets are read only then: factories do no I/O. */
export type RedisSource =
  | { readonly kind: 'Url'; readonly url: string }
  | {
      readonly kind: 'Borrowed'
      readonly connection: RedisConnection
      readonly option: string
      readonly instead: Named | undefined
    }
  | { readonly kind: 'Target'; readonly target: RedisTarget; readonly refs: string | undefined }

/**
 * @param option the name under which it was passed
 * @param instead the pipeline's own target, which the connection replaces. Both must lead to one database: no consumer reads the
 * keys of another. Throws InvalidOption for what cannot be used.
 */
export function redisSource(input: unknown, option: string, instead?: Named): RedisSource {
  const given = checkInput(input, option)
  checkDatabase(option, databaseOf(given), instead && plainDatabase(instead.target))
  return typeof given === 'string' ? { kind: 'Url', url: given } : { kind: 'Borrowed', connection: given, option, instead }
}

/** Undefined where a Secret has to be read. */
function plainDatabase(target: RedisTarget): number | undefined {
  switch (target.kind) {
    case 'Url':
      return parseRedisUrl(target.url)?.database
    case 'Sentinel':
      return target.database
    case 'Cluster':
      return 0
    case 'UrlFrom':
      return undefined
    default:
      return target satisfies never
  }
}

/** The numbers of connections that were lent. */
const lent = new WeakMap<RedisConnection, number>()
let lentCount = 0

/** Equal for sources that lead to the same Redis by the same account. It holds secrets. */
export function nameOf(source: RedisSource): string {
  switch (source.kind) {
    case 'Url':
      return JSON.stringify({ kind: 'Url', url: source.url })
    case 'Borrowed': {
      const number = lent.get(source.connection) ?? ++lentCount
      lent.set(source.connection, number)
      return `lent ${number}`
    }
    case 'Target':
      return source.target.kind === 'Url' ? JSON.stringify(source.target) : JSON.stringify([source.target, source.refs])
    default:
      return source satisfies never
  }
}

/** Whether commands must keep to one slot. */
export function isClustered(source: RedisSource): boolean {
  switch (source.kind) {
    case 'Url':
      return false
    case 'Borrowed':
      return isCluster(source.connection)
    case 'Target':
      return source.target.kind === 'Cluster'
    default:
      return source satisfies never
  }
}

async function databaseNamedBy({ target, refs }: Named): Promise<number | undefined> {
  if (target.kind !== 'UrlFrom') return plainDatabase(target)
  try {
    const address = await resolveTarget(target, directoryReader(refs))
    return address.kind === 'Cluster' ? 0 : address.database
  } catch (thrown) {
    // An application that passes a connection needs none of the pipeline's Secrets.
    if (asFailure(thrown).code === 'Internal') throw thrown
    return undefined
  }
}

export interface Lease {
  readonly connection: RedisConnection
  /** Ends the connection if it was made here. Idempotent. */
  end(): Promise<void>
}

/**
 * A connection to use, made or borrowed. On one that was made nothing is sent yet; one that was borrowed is asked where it leads.
 * Throws ReferenceMissing, InvalidReference, InvalidOption, and why a borrowed one cannot be asked.
 */
export async function leaseConnection(source: RedisSource, role: ConnectionRole): Promise<Lease> {
  if (source.kind === 'Borrowed') {
    const { connection, option, instead } = source
    await checkLent(connection, option, instead && (await databaseNamedBy(instead)))
    return { connection, end: async () => {} }
  }
  const connection = connect(await addressOf(source), role)
  return { connection, end: async () => await close(connection) }
}

/**
 * A connection of our own for BullMQ's worker, which demands that commands wait for Redis without bound. A caller's connection is
 * duplicated with that setting and without its time limits: BullMQ blocks for seconds on a duplicate of this one. If the client
 * gave up such a wait, Redis would continue it. It would then remove the next job's marker, and no worker would get that. Jobs
 * would then lie until the next one comes. Nothing is sent yet. Throws as `leaseConnection`.
 */
export async function workerConnection(source: RedisSource): Promise<RedisConnection> {
  if (source.kind !== 'Borrowed') return connect(await addressOf(source), 'BullWorker')
  const patient = { lazyConnect: true, maxRetriesPerRequest: null, enableOfflineQueue: true } as const
  const { connection } = source
  if (isCluster(connection)) {
    const own = connection.duplicate([], { lazyConnect: true, enableOfflineQueue: true, redisOptions: patient })
    withoutTimeLimits(own.options.redisOptions ?? {})
    endNodesCleanly(own)
    return own
  }
  const own = connection.duplicate({ ...patient, db: databaseOf(connection) })
  withoutTimeLimits(own.options)
  endCleanly(own)
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
