/**
 * The least rights of a pipeline's Redis user: every command that the connections and scripts of its consumers and of the operator
 * send, and their keys. One table, from which the ACL rules in docs/redis.md are written and by which users are checked
 * (permissioncheck.ts).
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { aclPattern } from '../../api/quoting.ts'
import { hashTag } from '../keys.ts'
import { forwardTarget, queueKey, streamPlace } from '../placement.ts'

/**
 * Where a command is used: on the stream, the dead letters, the helper keys beside the stream (Helpers) or beside the queue
 * (Marks), the queue's own keys, or on no key, at the stream's server or at the queue's.
 */
export type Place = 'Stream' | 'DeadLetters' | 'Helpers' | 'Queue' | 'Marks' | 'StreamServer' | 'QueueServer'

export interface AclPermission {
  /** As ACL rules name it: `xadd`, `xgroup|create`. */
  readonly command: string
  readonly on: readonly Place[]
  /**
   * Only there; default: everywhere. `Portable`: the way of a BullMQ whose scripts are not known. `Replay`: `dead replay` and
   * `dead purge`. `Status`: `status`. `Specialised`: the specialised add; without it a consumer adds by BullMQ's own text. At its
   * start a consumer checks the rights of `Portable` only on the portable path, and never those of
   * `Replay`, `Status`, `Specialised` and `Operator`.
   */
  readonly only?: 'Cluster' | 'Portable' | 'Operator' | 'Replay' | 'Status' | 'Specialised'
  readonly why: string
}

const servers = ['StreamServer', 'QueueServer'] as const
/**
 * The self-test at start sends the queue's commands to scratch queues, whose keys lie beside the marks. So both places need the
 * same rights.
 */
const queue = ['Queue', 'Marks'] as const

export const aclPermissions: readonly AclPermission[] = [
  { command: 'ping', on: servers, why: 'to open a connection' },
  { command: 'info', on: servers, why: 'version, maxmemory-policy, and replicas if the server lacks ROLE' },
  { command: 'select', on: servers, why: 'to use a database other than 0' },
  { command: 'client|setname', on: servers, why: 'to name connections, for CLIENT LIST' },
  { command: 'client|id', on: ['StreamServer'], why: 'to find the blocking read that has to end' },
  { command: 'client|unblock', on: ['StreamServer'], why: 'to end the blocking read when the consumer stops' },
  { command: 'eval', on: ['Stream', 'DeadLetters', 'Helpers', 'Queue', 'Marks'], why: 'to send a script for the first time' },
  { command: 'evalsha', on: ['Stream', 'DeadLetters', 'Helpers', 'Queue', 'Marks'], why: 'to run a script' },
  { command: 'time', on: servers, why: 'to read the server’s clock, which all programs share' },
  { command: 'type', on: ['Stream', 'DeadLetters', 'Helpers', ...queue], why: 'to check the type of each key' },
  { command: 'xreadgroup', on: ['Stream'], why: 'to read entries' },
  { command: 'xack', on: ['Stream'], why: 'to acknowledge entries' },
  { command: 'xclaim', on: ['Stream'], why: 'to take over entries, to renew them, and to hand them back' },
  { command: 'xpending', on: ['Stream'], why: 'to find the holder of each pending entry' },
  { command: 'xgroup|create', on: ['Stream'], why: 'to make the group, if it is missing' },
  { command: 'xgroup|delconsumer', on: ['Stream'], why: 'to remove the consumer’s own name when it stops' },
  { command: 'xinfo|groups', on: ['Stream'], why: 'to find the entries that every group has settled; ledger' },
  { command: 'xinfo|stream', on: ['Stream'], why: 'ledger' },
  { command: 'xlen', on: ['Stream', 'DeadLetters'], why: 'retention; room for dead letters' },
  { command: 'xtrim', on: ['Stream'], why: 'retention' },
  { command: 'xrange', on: ['Stream', 'Marks'], why: 'entries that are taken over or become dead letters; the self-test' },
  { command: 'xadd', on: ['DeadLetters', ...queue], why: 'to write dead letters; the queue’s events' },
  { command: 'get', on: ['Helpers', ...queue], why: 'the counter that announces claimable entries; BullMQ’s counters' },
  { command: 'set', on: ['Helpers', 'Marks'], why: 'heartbeats; marks and locks' },
  { command: 'del', on: ['Helpers', ...queue], why: 'heartbeats; jobs that a new job replaces; scratch keys' },
  { command: 'incr', on: ['Helpers', ...queue], why: 'the counter that announces claimable entries; BullMQ’s counters' },
  {
    command: 'incrby',
    on: queue,
    only: 'Specialised',
    why: 'BullMQ’s counters, once for many jobs; without it a consumer adds jobs one by one',
  },
  { command: 'exists', on: ['Stream', ...queue], why: 'to find marks and jobs' },
  { command: 'hget', on: ['Helpers', ...queue], why: 'ledger and registry; BullMQ' },
  { command: 'hset', on: ['Helpers', ...queue], why: 'ledger and registry; jobs' },
  { command: 'hdel', on: ['Helpers', 'Marks'], why: 'registry; the self-test' },
  { command: 'hincrby', on: ['Helpers'], why: 'ledger' },
  { command: 'hmget', on: ['Helpers', ...queue], why: 'ledger; jobs' },
  { command: 'hmset', on: queue, why: 'jobs' },
  { command: 'hgetall', on: ['Helpers', ...queue], why: 'names in the registry; jobs' },
  { command: 'llen', on: queue, why: 'to count waiting jobs' },
  { command: 'lpos', on: queue, why: 'to find a job in a list' },
  { command: 'lpush', on: queue, why: 'to add jobs' },
  { command: 'rpush', on: queue, why: 'to add jobs with lifo' },
  { command: 'lrange', on: queue, why: 'the self-test; BullMQ’s removal of jobs' },
  { command: 'lrem', on: queue, why: 'to remove failed jobs, and finished ones that a new job replaces' },
  { command: 'scard', on: queue, why: 'BullMQ’s removal of jobs' },
  { command: 'smembers', on: queue, why: 'BullMQ’s removal of jobs' },
  { command: 'zadd', on: queue, why: 'delayed and prioritized jobs; BullMQ’s markers' },
  { command: 'zcard', on: queue, why: 'to count waiting jobs' },
  { command: 'zrange', on: queue, why: 'delayed and prioritized jobs; jobs that failed lately' },
  { command: 'zrem', on: queue, why: 'to remove failed jobs, and finished ones that a new job replaces' },
  { command: 'zrevrangebyscore', on: queue, why: 'to find the place of a job among delayed jobs' },
  { command: 'zscan', on: ['Queue'], why: 'to read the failed set in parts' },
  { command: 'zscore', on: queue, why: 'to find a job in a set' },
  { command: 'role', on: ['QueueServer'], why: 'to count replicas' },
  { command: 'wait', on: ['QueueServer'], why: 'to wait for a replica' },
  { command: 'multi', on: ['QueueServer'], only: 'Portable', why: 'to write job and mark in one transaction' },
  { command: 'exec', on: ['QueueServer'], only: 'Portable', why: 'to write job and mark in one transaction' },
  { command: 'script|load', on: ['QueueServer'], only: 'Portable', why: 'scripts that the server has forgotten' },
  { command: 'xadd', on: ['Stream'], only: 'Replay', why: 'to add the entry again' },
  {
    command: 'xdel',
    on: ['DeadLetters'],
    only: 'Replay',
    why: 'to delete records that were replayed or purged, and records whose entries could not be acknowledged',
  },
  { command: 'watch', on: ['Helpers'], only: 'Replay', why: 'to replay entries of thousands of fields' },
  { command: 'multi', on: ['StreamServer'], only: 'Replay', why: 'to replay entries of thousands of fields' },
  { command: 'exec', on: ['StreamServer'], only: 'Replay', why: 'to replay entries of thousands of fields' },
  { command: 'xrevrange', on: ['Stream', 'DeadLetters'], only: 'Status', why: 'to search the newest entries' },
  { command: 'pttl', on: ['Marks'], only: 'Status', why: 'to compute when a key was forwarded' },
  { command: 'xinfo|consumers', on: ['Stream'], why: 'to list the consumers of the group' },
  { command: 'xread', on: ['Stream'], only: 'Operator', why: 'to wait for the first entry of a pipeline at zero' },
  { command: 'mget', on: ['Helpers'], only: 'Operator', why: 'heartbeats' },
  { command: 'cluster|slots', on: servers, only: 'Cluster', why: 'to find the node of a key' },
  { command: 'cluster|info', on: servers, only: 'Cluster', why: 'to check that the cluster works' },
  { command: 'asking', on: servers, only: 'Cluster', why: 'to reach keys while they move to another node' },
]

const queuePlaces: readonly Place[] = ['Queue', 'Marks', 'QueueServer']
export const isQueuePlace = (place: Place): boolean => queuePlaces.includes(place)

/** A key of each place that has keys. */
export function keysOf(pipeline: CompiledPipeline): Readonly<Partial<Record<Place, string>>> {
  const { stream, deadLetters, keys } = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  return {
    Stream: stream,
    DeadLetters: deadLetters,
    Helpers: keys.stats,
    Queue: `${queueKey(target)}wait`,
    Marks: target.keys.mark('-'),
  }
}

/** The pattern that covers a place. */
export function patternsOf(pipeline: CompiledPipeline): Readonly<Partial<Record<Place, string>>> {
  const { stream, deadLetters, keys } = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  // Of all groups and scopes: their hash is nothing a person can work out.
  const besides = (prefix: string) => `sp:{${aclPattern(hashTag(prefix))}}:*`
  return {
    Stream: aclPattern(stream),
    DeadLetters: aclPattern(deadLetters),
    Helpers: besides(keys.prefix),
    Queue: `${aclPattern(queueKey(target))}*`,
    Marks: besides(target.keys.prefix),
  }
}

/** The least rights as ACL rules, for the user at the stream's Redis and, where the queue is elsewhere, the one there. */
interface AclRules {
  readonly stream: readonly string[]
  readonly queue?: readonly string[]
}

export function aclRules(pipeline: CompiledPipeline): AclRules {
  const { redis, sink } = pipeline
  const elsewhere = sink.redis
  if (elsewhere === undefined) return { stream: rulesFor(pipeline, redis.kind === 'Cluster', () => true) }
  return {
    stream: rulesFor(pipeline, redis.kind === 'Cluster', (place) => !isQueuePlace(place)),
    queue: rulesFor(pipeline, elsewhere.kind === 'Cluster', isQueuePlace),
  }
}

function rulesFor(pipeline: CompiledPipeline, clustered: boolean, here: (place: Place) => boolean): readonly string[] {
  const patternOf = patternsOf(pipeline)
  const wanted = aclPermissions.filter(({ on, only }) => on.some(here) && (only !== 'Cluster' || clustered))
  const patterns = wanted.flatMap(({ on }) => on.filter(here).map((place) => patternOf[place]))
  return [
    ...new Set(patterns.filter((pattern) => pattern !== undefined).map((pattern) => `~${pattern}`)),
    ...new Set(wanted.map(({ command }) => `+${command}`)),
  ]
}

/** The commands of a dispatcher's own connection, beside its script. Each fails without harm where the right is missing. */
const dispatchCommands: readonly string[] = ['info', 'client|setname', 'select', 'eval', 'evalsha', 'get', 'xadd']

/**
 * Least rights of a user that only dispatches in Stream mode: it adds to the stream and reads the mode. Where requests may set options, it
 * also reads what consumers say of themselves; `%R~` is a rule of Redis 7. No rule keeps XADD from trimming
 * (MAXLEN, MINID) or from using the last possible id; docs/tenancy.md describes the consequences.
 */
export function dispatchRules(pipeline: CompiledPipeline): readonly string[] {
  const { stream, keys } = streamPlace(pipeline)
  const clustered = pipeline.redis.kind === 'Cluster' ? ['cluster|slots', 'cluster|info', 'asking'] : []
  const takesOptions = pipeline.sink.allow !== undefined
  return [
    `~${aclPattern(stream)}`,
    `~${aclPattern(keys.mode)}`,
    ...(takesOptions ? [aclPattern(keys.consumers), `${aclPattern(keys.consumer(''))}*`].map((key) => `%R~${key}`) : []),
    ...[...dispatchCommands, ...(takesOptions ? ['hgetall'] : []), ...clustered].map((command) => `+${command}`),
  ]
}
