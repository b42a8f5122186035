/**
 * The least rights of a pipeline's Redis user: every command that the connections and scripts of its consumers and of the operator
 * send, and the keys they touch. One table, from which the ACL rules in docs/redis.md are written and by which users are checked
 * (rightscheck.ts).
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

export interface Right {
  /** As ACL rules name it: `xadd`, `xgroup|create`. */
  readonly command: string
  readonly on: readonly Place[]
  /**
   * Only there; everywhere unless told. `Portable`: the way of a BullMQ whose scripts are not known. `Replay`: `dead replay` and
   * `dead purge`. `Status`: `status`. A consumer asks neither for theirs nor for the operator's.
   */
  readonly only?: 'Cluster' | 'Portable' | 'Operator' | 'Replay' | 'Status'
  readonly why: string
}

const servers = ['StreamServer', 'QueueServer'] as const
/** The self-test at start does in scratch queues beside the marks what is later done in the queue. */
const queue = ['Queue', 'Marks'] as const

export const rights: readonly Right[] = [
  { command: 'ping', on: servers, why: 'opening a connection' },
  { command: 'info', on: servers, why: 'version, maxmemory-policy, and replicas where ROLE is lacking' },
  { command: 'select', on: servers, why: 'a database other than 0' },
  { command: 'client|setname', on: servers, why: 'names connections, for CLIENT LIST' },
  { command: 'client|id', on: ['StreamServer'], why: 'the blocking read, so that it can be ended' },
  { command: 'client|unblock', on: ['StreamServer'], why: 'ending the blocking read when asked to stop' },
  { command: 'eval', on: ['Stream', 'DeadLetters', 'Helpers', 'Queue', 'Marks'], why: 'scripts, when first sent' },
  { command: 'evalsha', on: ['Stream', 'DeadLetters', 'Helpers', 'Queue', 'Marks'], why: 'scripts' },
  { command: 'time', on: servers, why: 'the server’s clock, the only one that counts' },
  { command: 'type', on: ['Stream', 'DeadLetters', 'Helpers', ...queue], why: 'keys hold what they should' },
  { command: 'xreadgroup', on: ['Stream'], why: 'reading' },
  { command: 'xack', on: ['Stream'], why: 'settling' },
  { command: 'xclaim', on: ['Stream'], why: 'reclaiming, renewing, handing back' },
  { command: 'xpending', on: ['Stream'], why: 'who holds what' },
  { command: 'xgroup|create', on: ['Stream'], why: 'the group, where it is missing' },
  { command: 'xgroup|delconsumer', on: ['Stream'], why: 'taking out the own name at the end' },
  { command: 'xinfo|groups', on: ['Stream'], why: 'floor, ledger, retention' },
  { command: 'xinfo|stream', on: ['Stream'], why: 'ledger' },
  { command: 'xlen', on: ['Stream', 'DeadLetters'], why: 'retention; room for dead letters' },
  { command: 'xtrim', on: ['Stream'], why: 'retention' },
  { command: 'xrange', on: ['Stream', 'Marks'], why: 'payloads of dead letters, trimmed entries; the self-test' },
  { command: 'xadd', on: ['DeadLetters', ...queue], why: 'dead letters; the queue’s events' },
  { command: 'get', on: ['Helpers', ...queue], why: 'nudge; BullMQ’s counters' },
  { command: 'set', on: ['Helpers', 'Marks'], why: 'heartbeat; marks and locks' },
  { command: 'del', on: ['Helpers', ...queue], why: 'heartbeat; jobs that make way; scratch keys' },
  { command: 'incr', on: ['Helpers', ...queue], why: 'nudge; BullMQ’s counters' },
  { command: 'exists', on: ['Stream', ...queue], why: 'marks; whether there is a job' },
  { command: 'hget', on: ['Helpers', ...queue], why: 'ledger and registry; BullMQ' },
  { command: 'hset', on: ['Helpers', ...queue], why: 'ledger and registry; jobs' },
  { command: 'hdel', on: ['Helpers', 'Marks'], why: 'registry; the self-test' },
  { command: 'hincrby', on: ['Helpers'], why: 'ledger' },
  { command: 'hmget', on: ['Helpers', ...queue], why: 'ledger; jobs' },
  { command: 'hmset', on: queue, why: 'jobs' },
  { command: 'hgetall', on: ['Helpers', ...queue], why: 'names in the registry; jobs' },
  { command: 'llen', on: queue, why: 'how much waits' },
  { command: 'lpos', on: queue, why: 'whether a job is in a list' },
  { command: 'lpush', on: queue, why: 'adding' },
  { command: 'rpush', on: queue, why: 'adding, with lifo' },
  { command: 'lrange', on: queue, why: 'the self-test; BullMQ’s removal' },
  { command: 'lrem', on: queue, why: 'removing failed and outlived jobs' },
  { command: 'scard', on: queue, why: 'BullMQ’s removal' },
  { command: 'smembers', on: queue, why: 'BullMQ’s removal' },
  { command: 'zadd', on: queue, why: 'delayed and prioritized jobs; markers' },
  { command: 'zcard', on: queue, why: 'how much waits' },
  { command: 'zrange', on: queue, why: 'delayed and prioritized jobs; what has failed lately' },
  { command: 'zrem', on: queue, why: 'removing failed and outlived jobs' },
  { command: 'zrevrangebyscore', on: queue, why: 'the place among delayed jobs' },
  { command: 'zscan', on: ['Queue'], why: 'the failed set, piece by piece' },
  { command: 'zscore', on: queue, why: 'whether a job is in a set' },
  { command: 'role', on: ['QueueServer'], why: 'whether there are replicas' },
  { command: 'wait', on: ['QueueServer'], why: 'waiting for a replica' },
  { command: 'multi', on: ['QueueServer'], only: 'Portable', why: 'job and mark in one transaction' },
  { command: 'exec', on: ['QueueServer'], only: 'Portable', why: 'job and mark in one transaction' },
  { command: 'script|load', on: ['QueueServer'], only: 'Portable', why: 'scripts that the server forgot' },
  { command: 'xadd', on: ['Stream'], only: 'Replay', why: 'dead letters that go back' },
  {
    command: 'xdel',
    on: ['DeadLetters'],
    only: 'Replay',
    why: 'dead letters that went back, are purged, or whose entry could not be acknowledged',
  },
  { command: 'watch', on: ['Helpers'], only: 'Replay', why: 'entries of thousands of fields that go back' },
  { command: 'multi', on: ['StreamServer'], only: 'Replay', why: 'entries of thousands of fields that go back' },
  { command: 'exec', on: ['StreamServer'], only: 'Replay', why: 'entries of thousands of fields that go back' },
  { command: 'xrevrange', on: ['Stream', 'DeadLetters'], only: 'Status', why: 'a search of the newest entries' },
  { command: 'pttl', on: ['Marks'], only: 'Status', why: 'when a key was forwarded' },
  { command: 'xinfo|consumers', on: ['Stream'], why: 'who is there' },
  { command: 'xread', on: ['Stream'], only: 'Operator', why: 'the entry that wakes a sleeping pipeline' },
  { command: 'mget', on: ['Helpers'], only: 'Operator', why: 'heartbeats' },
  { command: 'cluster|slots', on: servers, only: 'Cluster', why: 'where keys are' },
  { command: 'cluster|info', on: servers, only: 'Cluster', why: 'whether the cluster works' },
  { command: 'asking', on: servers, only: 'Cluster', why: 'keys that are moving' },
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
  const wanted = rights.filter(({ on, only }) => on.some(here) && (only !== 'Cluster' || clustered))
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
