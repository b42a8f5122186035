/**
 * The Redis that an application passes. A wrong kind is refused when it is passed. A connection to another server than the pipeline's is
 * refused before any command: its Redis would accept a payload that no consumer reads.
 *
 * A connection is known by what it can do. The application's ioredis may be another copy or another major than this library's.
 */
import type { Cluster, Redis } from 'ioredis'
import { failure } from '../api/errors.ts'
import { failureOn, isCluster, labelOf, type RedisConnection } from '../redis/connect/connection.ts'
import { parseRedisUrl } from '../redis/connect/references.ts'
import { replyCode } from '../redis/connect/replies.ts'

/**
 * `redis://[user:password@]host:port/database` (`rediss:` for TLS), or an ioredis connection. A dispatcher uses a
 * connection as it is. A worker duplicates it. Neither closes it.
 */
export type RedisInput = string | RedisConnection

const needed = ['call', 'defineCommand', 'duplicate', 'multi', 'on', 'once', 'off'] as const

const toPass = 'pass a URL, redis://host:port/database (rediss:// for TLS), or a connection made with ioredis'

/** Throws InvalidOption unless it is a URL, or a connection that can be used without loss. @param option its name */
export function checkInput(input: unknown, option: string): RedisInput {
  const refused = (detail: string) => failure('InvalidOption', { option, detail: `${detail}: ${toPass}` })
  if (typeof input === 'string') {
    if (parseRedisUrl(input) === undefined) throw refused('the URL cannot be used')
    return input
  }
  if (typeof input !== 'object' || input === null) throw refused(`${input === null ? 'null' : typeof input} is no Redis`)
  const lacks = needed.filter((method) => typeof Reflect.get(input, method) !== 'function')
  const described = typeof Reflect.get(input, 'status') === 'string' && typeof Reflect.get(input, 'options') === 'object'
  if (lacks.length > 0 || !described)
    throw refused(`this is no ioredis connection (it lacks ${lacks.join(', ') || 'status or options'})`)
  const connection = input as RedisConnection
  const misled = misleading(connection)
  if (misled !== undefined) throw failure('InvalidOption', { option, detail: misled })
  return connection
}

/** Options by which a connection writes or reads elsewhere than at the names and servers that it is given. */
function misleading(connection: RedisConnection): string | undefined {
  const { keyPrefix } = connection.options
  if (keyPrefix !== undefined && keyPrefix !== null && String(keyPrefix) !== '') {
    return `the connection has the keyPrefix ${String(keyPrefix)}, so no consumer would find its keys: pass one without keyPrefix`
  }
  if (isCluster(connection)) {
    const { scaleReads = 'master' } = connection.options
    if (scaleReads === 'master') return undefined
    return 'the connection has scaleReads and reads from replicas, which lag: pass one with scaleReads "master"'
  }
  const { readOnly, role } = connection.options
  if (readOnly !== true && role !== 'slave') return undefined
  return 'the connection is for reading from replicas: pass one to the primary, without readOnly and role "slave"'
}

/** Throws InvalidOption when the connection's options name another database. */
export function checkDatabase(option: string, actual: number, wanted: number | undefined): void {
  if (wanted === undefined || actual === wanted) return
  const detail = `the connection uses database ${actual}, the pipeline database ${wanted}: pass one to database ${wanted}`
  throw failure('InvalidOption', { option, detail })
}

/**
 * The database that the input leads to, as far as it knows. If another database was selected later, ioredis keeps its number
 * outside the options.
 */
export function databaseOf(input: RedisInput): number {
  if (typeof input === 'string') return parseRedisUrl(input)?.database ?? 0
  if (isCluster(input)) return 0
  const condition: unknown = Reflect.get(input, 'condition')
  const selected: unknown = typeof condition === 'object' && condition !== null ? Reflect.get(condition, 'select') : undefined
  return typeof selected === 'number' ? selected : (input.options.db ?? 0)
}

/**
 * Asks the server for the connection's database, once it is there. The application may have selected another one since, and a
 * refused SELECT leaves ioredis in database 0. Throws InvalidOption; RedisNotReady for a replica; why Redis cannot be asked.
 */
export async function checkLent(connection: RedisConnection, option: string, wanted: number | undefined): Promise<void> {
  refuseUnusable(connection, option)
  try {
    await connected(connection)
    if (isCluster(connection)) return
    const [info, role] = await Promise.all([taken(connection.call('CLIENT', 'INFO')), taken(connection.call('ROLE'))])
    const database = /\bdb=(\d+)/.exec(String(info ?? ''))?.[1]
    checkDatabase(option, database === undefined ? databaseOf(connection) : Number(database), wanted)
    refuseReplica(role, option, labelOf(connection))
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

/** An ended connection answers nothing, and one that monitors or, in RESP2, subscribes takes no other command. Throws InvalidOption. */
function refuseUnusable(connection: RedisConnection, option: string): void {
  const refused = (detail: string) => failure('InvalidOption', { option, detail })
  if (connection.status === 'end') throw refused('the connection was ended by its owner: pass one that is open')
  if (isCluster(connection)) return
  const mode: unknown = Reflect.get(connection, 'mode')
  if (mode !== 'monitor' && mode !== 'subscriber') return
  throw refused(
    `the connection is in ${mode} mode and takes no other command: pass one of its own, such as connection.duplicate()`,
  )
}

/** For connections of any origin: BullMQ would wait on a replica for ever. Throws RedisNotReady. */
export async function checkPrimary(connection: RedisConnection, option: string): Promise<void> {
  if (isCluster(connection)) return
  try {
    refuseReplica(await taken(connection.call('ROLE')), option, labelOf(connection))
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

function refuseReplica(role: unknown, option: string, address: string): void {
  if (!Array.isArray(role) || String(role[0]) !== 'slave') return
  throw failure('RedisNotReady', { address, reply: 'READONLY', detail: `it is a replica; pass the primary as ${option}` })
}

/** Undefined where the server does not take the command: managed ones and proxies lack some. */
async function taken(reply: Promise<unknown>): Promise<unknown> {
  try {
    return await reply
  } catch (thrown) {
    if (replyCode(thrown) === undefined) throw thrown
    return undefined
  }
}

/** A connection without an offline queue refuses commands until it is ready. */
async function connected(connection: Redis | Cluster): Promise<void> {
  if (connection.options.enableOfflineQueue !== false || connection.status === 'ready') return
  if (connection.status === 'wait') return await connection.connect()
  if (connection.status === 'end') return
  await new Promise<void>((resolve) => {
    const done = () => {
      connection.off('ready', done)
      connection.off('end', done)
      resolve()
    }
    connection.on('ready', done)
    connection.on('end', done)
  })
}
