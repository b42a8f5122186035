/**
 * Connections by their role. Roles differ in how long a command may wait for a Redis that is away:
 *
 * - Blocking: the reader's XREADGROUP. Waits without bound; the reader itself watches for a socket that died silently. (ioredis'
 *   `blockingTimeout` would answer "nothing" beside a late reply, whose entries would then be pending and known to no consumer.)
 * - Writer: the consumer's commands. Fail within seconds, so that the consumer becomes BackendDown instead of hanging. They also fail while
 *   Redis is loading, which a ready check would wait out silently.
 * - Observer: the operator's and the CLI's reads. Fail at once; the next tick tries again.
 * - Alarm: the operator's blocking read for sleeping pipelines. Blocks for some seconds at a time; a socket that is silent for longer is
 *   dead. Fails at once; the reader reconnects.
 * - Producer: the application's adds. Each dispatch has a limit of its own (client/overdue.ts), so that a web request does not hang on a
 *   queue. A limit of the connection would be a second timer for each request.
 * - BullWorker: BullMQ's own blocking use, which demands `maxRetriesPerRequest: null`.
 * - CommandLine: as Observer, for a person who requests whole entries.
 *
 * The role also bounds a server's replies (redis/reply/limits.ts): any tenant may name the servers that the operator's roles query.
 *
 * ioredis resends commands that were in flight when a connection comes back. So every command sent here must be safe to run twice.
 */
import { Cluster, type CommonRedisOptions, Redis, type RedisOptions } from 'ioredis'
import { failure, StreamPipelineError } from '../../api/errors.ts'
import { createReplyBudget } from '../reply/budget.ts'
import { lookLimits, wakeLimits, workLimits } from '../reply/limits.ts'
import { endCleanly, endNodesCleanly, outliveSecondError } from './ending.ts'
import { guardedConnector, guardedSentinelConnector } from './guardedconnector.ts'
import { failUnfit } from './handshake.ts'
import { withoutPasswords } from './redaction.ts'
import type { RedisAddress } from './references.ts'
import { redisFailure, replyCode } from './replies.ts'
import { type ReplyReading, readNodeReplies, readReplies } from './replyreading.ts'

export type RedisConnection = Redis | Cluster
export type ConnectionRole = 'Blocking' | 'Writer' | 'Observer' | 'Alarm' | 'Producer' | 'BullWorker' | 'CommandLine'

const roleOptions = {
  Blocking: { maxRetriesPerRequest: null, connectTimeout: 5_000 },
  Writer: { maxRetriesPerRequest: 1, socketTimeout: 5_000, connectTimeout: 5_000, enableReadyCheck: false },
  Observer: { maxRetriesPerRequest: 0, commandTimeout: 3_000, socketTimeout: 5_000, connectTimeout: 3_000 },
  Alarm: { maxRetriesPerRequest: 0, socketTimeout: 8_000, connectTimeout: 3_000 },
  Producer: { maxRetriesPerRequest: 1, socketTimeout: 5_000, connectTimeout: 2_000 },
  BullWorker: { maxRetriesPerRequest: null, connectTimeout: 5_000 },
  // No limit on a whole command: large records take their time over a slow link. A server that falls silent ends it.
  CommandLine: { maxRetriesPerRequest: 0, socketTimeout: 5_000, connectTimeout: 3_000 },
} as const satisfies Record<ConnectionRole, CommonRedisOptions>

/** The sum for all connections in the operator's process: half of its free memory. */
const looksBudget = createReplyBudget(32 * 2 ** 20)

function replyReading(role: ConnectionRole, label: string): ReplyReading {
  switch (role) {
    case 'Alarm':
      return { limits: wakeLimits, budget: looksBudget, label }
    case 'Observer':
      return { limits: lookLimits, budget: looksBudget, label }
    case 'Blocking':
      return { limits: workLimits, label, takesEntries: true }
    case 'Writer':
    case 'Producer':
    case 'BullWorker':
    case 'CommandLine':
      return { limits: workLimits, label }
    default:
      throw role satisfies never
  }
}

/** Doubling from 50 ms to 2 s, with a random half so that many pods don't come back in step. */
const retryStrategy = (times: number) => Math.min(2_000, 50 * 2 ** Math.min(times, 6)) * (0.5 + Math.random() / 2)

/**
 * A server that was the master and is now a replica answers READONLY. The address may lead to the new master by now, so connect
 * anew.
 */
const reconnectOnError = (error: Error) => replyCode(error) === 'READONLY'

const labels = new WeakMap<RedisConnection, string>()
const socketErrors = new WeakMap<RedisConnection, unknown>()
/** Closing connections, which must not reconnect. A cluster's status does not suffice: `close` may follow `end`. */
const closing = new WeakMap<RedisConnection, Promise<void>>()

/** Makes a connection without touching the network; `open` it, or let the first command do so. */
export function connect(address: RedisAddress, role: ConnectionRole): RedisConnection {
  const common = {
    ...roleOptions[role],
    lazyConnect: true as const,
    connectionName: `streampipeline-${role.toLowerCase()}`,
    retryStrategy: (times: number) => (closing.has(connection) ? null : retryStrategy(times)),
    reconnectOnError,
    username: address.username,
    password: address.password,
    ...tlsOption(address),
    ...reachOption(address, (refusal) => socketErrors.set(connection, refusal)),
  }
  const connection: RedisConnection = construct(address, common, waitsForSentinels(role))
  labels.set(connection, address.label)
  connection.on('error', (error: unknown) => {
    // A cluster's error reports only that it has no node. The earlier error names the reason why a node may not be connected to.
    if (isCluster(connection) && socketErrors.get(connection) instanceof StreamPipelineError) return
    socketErrors.set(connection, error)
  })
  const reading = replyReading(role, address.label)
  if (isCluster(connection)) {
    endNodesCleanly(connection)
    readNodeReplies(connection, reading)
    connection.on('+node', outliveSecondError)
  } else {
    endCleanly(connection)
    readReplies(connection, reading)
    outliveSecondError(connection)
    failUnfit(connection, address.label)
  }
  connection.on('ready', () => socketErrors.delete(connection))
  if (address.kind === 'Sentinel') outliveSentinels(connection, role)
  return connection
}

/** Decided by the connection's own field: an application may pass one of another copy of ioredis, with other classes. */
export function isCluster(connection: RedisConnection): connection is Cluster {
  return connection.isCluster
}

/**
 * While all Sentinels are away, ioredis asks them again and again, and a command waits as long. Only roles that wait without bound may do
 * that. For the others ioredis gives up after one round, which ends the connection; this function revives it.
 */
function outliveSentinels(connection: RedisConnection, role: ConnectionRole): void {
  if (waitsForSentinels(role)) return
  let rounds = 0
  connection.on('ready', () => {
    rounds = 0
  })
  connection.on('end', () => {
    const revive = () => {
      if (connection.status === 'end' && !closing.has(connection)) connection.connect().catch(ignoreAttempt)
    }
    if (!closing.has(connection)) setTimeout(revive, retryStrategy(++rounds)).unref()
  })
}

const waitsForSentinels = (role: ConnectionRole) => roleOptions[role].maxRetriesPerRequest === null

/** The commands report the failure, and the end of this attempt starts the next one. */
function ignoreAttempt() {}

function construct(
  address: RedisAddress,
  common: Omit<RedisOptions, 'replyMapping' | 'retryStrategy'> & {
    lazyConnect: true
    retryStrategy: (times: number) => number | null
  },
  patient: boolean,
): RedisConnection {
  switch (address.kind) {
    case 'Server':
      return new Redis({
        ...common,
        ...(address.socket === undefined ? { host: address.host, port: address.port } : { path: address.socket }),
        db: address.database,
      })
    case 'Sentinel':
      return new Redis({
        ...common,
        name: address.master,
        sentinels: address.nodes.map((node) => ({ ...node })),
        db: address.database,
        sentinelUsername: address.sentinelUsername,
        sentinelPassword: address.sentinelPassword,
        sentinelCommandTimeout: 2_000,
        sentinelRetryStrategy: (rounds) => (patient ? retryStrategy(rounds) : null),
        ...(address.tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tlsOption(address).tls }),
      })
    case 'Cluster': {
      const { lazyConnect, retryStrategy: clusterRetryStrategy, ...redisOptions } = common
      return new Cluster(
        address.nodes.map((node) => ({ ...node })),
        { lazyConnect, redisOptions, clusterRetryStrategy, slotsRefreshTimeout: 3_000, ...dnsOption(address) },
      )
    }
    default:
      return address satisfies never
  }
}

function tlsOption(address: RedisAddress) {
  if (address.tls === undefined) return {}
  const { ca, cert, key, serverName } = address.tls
  return { tls: { ca, cert, key, ...(serverName === undefined ? {} : { servername: serverName }) } }
}

/** A cluster would resolve names itself and connect to addresses, which look the same as announced ones. */
function dnsOption({ reach }: RedisAddress): {
  dnsLookup?: (name: string, done: (error: null, address: string) => void) => void
} {
  return reach === undefined ? {} : { dnsLookup: (name, done) => done(null, name) }
}

/** @param onRefused called with a node's error, which a cluster drops */
function reachOption({ kind, reach }: RedisAddress, onRefused: (refusal: StreamPipelineError) => void) {
  if (reach === undefined) return {}
  return { Connector: kind === 'Sentinel' ? guardedSentinelConnector(reach) : guardedConnector(reach, onRefused) }
}

/** The name of a connection's server in messages, without secrets. */
export function labelOf(connection: RedisConnection): string {
  return labels.get(connection) ?? 'redis'
}

/** Normalises what a command on this connection threw. */
export function failureOn(connection: RedisConnection, thrown: unknown) {
  const lastSocketError = withoutPasswords(socketErrors.get(connection), connection)
  return redisFailure(withoutPasswords(thrown, connection), labelOf(connection), lastSocketError)
}

/** For `catch`, where work uses two servers: the error names the server that it came from. */
export function rethrowOn(connection: RedisConnection): (thrown: unknown) => never {
  return (thrown) => {
    throw failureOn(connection, thrown)
  }
}

/** The failure of a command that the server rejected inside a script. @param reply the server's text, with its code first */
export function refusalOn(connection: RedisConnection, reply: string) {
  return failureOn(connection, Object.assign(new Error(reply), { name: 'ReplyError' }))
}

/** Connects and waits until commands are accepted. Throws RedisUnreachable, RedisAuthFailed, RedisTlsFailed, RedisNotReady. */
export async function open(connection: RedisConnection, signal?: AbortSignal): Promise<void> {
  if (connection.status === 'ready') return
  try {
    await withinLimit(connection, async () => {
      if (connection.status === 'wait' || connection.status === 'end') await abortable(connection.connect(), signal)
      await abortable(connection.ping(), signal)
    })
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

/** Longest time in which a cluster, or Sentinels, must lead to a server. */
const searchMs = 8_000

/**
 * A cluster may name nodes that accept no connection: ioredis asks it again and again. Sentinels may answer nothing: ioredis asks one after
 * the other. The caller would wait as long.
 */
async function withinLimit(connection: RedisConnection, work: () => Promise<void>): Promise<void> {
  const detail = searchDetail(connection)
  if (detail === undefined) return await work()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(detail)), searchMs)
  })
  try {
    await Promise.race([work(), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Undefined: the connection leads to one server, or its role waits without bound. */
function searchDetail(connection: RedisConnection): string | undefined {
  const cluster = isCluster(connection)
  const { maxRetriesPerRequest } = (cluster ? connection.options.redisOptions : connection.options) ?? {}
  if (maxRetriesPerRequest === null) return undefined
  if (cluster) return 'none of the nodes that it names can be connected to'
  return connection.options.sentinels ? `its Sentinels led to no server within ${searchMs / 1_000} s` : undefined
}

/**
 * Ends the connection for good; pending commands fail. Idempotent. Between two attempts ioredis would just stop trying, and waiting
 * commands would wait for ever. A last attempt, ended at once, rejects them.
 */
export async function close(connection: RedisConnection): Promise<void> {
  const underWay = closing.get(connection)
  if (underWay !== undefined) return await underWay
  if (connection.status === 'wait' || connection.status === 'end') {
    closing.set(connection, Promise.resolve())
    connection.disconnect()
    return
  }
  const ended = new Promise<void>((resolve) => connection.once('end', () => resolve()))
  closing.set(connection, ended)
  if (isCluster(connection)) endCluster(connection)
  else {
    if (connection.status === 'reconnecting') connection.connect().catch(ignoreLastAttempt)
    connection.disconnect()
  }
  await ended
}

/**
 * A cluster that is cut off while it connects, or while it waits to connect, forgets to end. Its last attempt has to run out first.
 */
function endCluster(cluster: Cluster): void {
  const cut = () => cluster.disconnect()
  switch (cluster.status) {
    case 'reconnecting':
    case 'close':
      cluster.connect().then(cut, ignoreLastAttempt)
      return
    case 'connecting':
      cluster.once('connect', cut)
      return
    default:
      cut()
  }
}

/** Its failure is the aim. */
function ignoreLastAttempt() {}

async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(failure('Internal', { detail: 'stopped while connecting' }, signal.reason))
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
  return await Promise.race([work, aborted])
}
