/**
 * The least rights of a worker's Redis user. BullMQ's worker touches the keys of its queue, by its scripts and by commands of its own.
 * `createWorker` adds one kind of key: the execution lock of an idempotency key.
 *
 * The list holds each command of the scripts that a worker of BullMQ 6.7 calls; test/scenarios/topology/workerrights compares it with their text.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { aclPattern } from '../../api/quoting.ts'
import { executionLock } from '../keys.ts'
import { forwardTarget, queueKey } from '../placement.ts'

const connectionCommands = ['ping', 'info', 'select', 'client|setname', 'role', 'eval', 'evalsha', 'multi', 'exec'] as const
const clusterCommands = ['cluster|slots', 'cluster|info', 'asking'] as const

/** GET, SET, DEL, PEXPIRE and PTTL are all that the execution lock takes. */
const keyCommands = [
  ...['get', 'set', 'del', 'exists', 'incr', 'pexpire', 'persist', 'pttl', 'type'],
  ...['hdel', 'hexists', 'hget', 'hgetall', 'hincrby', 'hmget', 'hmset', 'hset'],
  ...['lindex', 'llen', 'lpop', 'lpos', 'lpush', 'lrange', 'lrem', 'ltrim', 'rpoplpush', 'rpush'],
  ...['sadd', 'scard', 'sismember', 'smembers', 'srem'],
  ...['bzpopmin', 'zadd', 'zcard', 'zpopmin', 'zrange', 'zrangebyscore', 'zrem', 'zremrangebyrank', 'zremrangebyscore'],
  ...['zrevrange', 'zrevrangebyscore', 'zscore'],
  ...['xadd', 'xtrim'],
] as const

/** The rule for the user at the queue's Redis, as words of `ACL SETUSER`. */
export function workerRules(pipeline: CompiledPipeline): readonly string[] {
  const { queue, prefix } = pipeline.sink
  const clustered = (pipeline.sink.redis ?? pipeline.redis).kind === 'Cluster' ? clusterCommands : []
  return [
    `~${aclPattern(queueKey(forwardTarget(pipeline)))}*`,
    `~${aclPattern(executionLock(prefix, queue, ''))}*`,
    ...[...connectionCommands, ...keyCommands, ...clustered].map((command) => `+${command}`),
  ]
}
