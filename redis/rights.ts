/**
 * The least rights of a pipeline's Redis user: every command that the connections and scripts of its consumers and of the operator
 * send, and the keys they touch. One table, from which the ACL rules in docs/redis.md are written and by which a consumer checks its user at start, because a
 * right that is missing half-way through a script leaves half of its work done.
 *
 * Asked is `redis.acl_check_cmd`, from a script: what a user may do, it may ask, while ACL DRYRUN is for administrators.
 */
import type { CompiledPipeline } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { labelOf, type RedisConnection } from './connection.ts'
import { hashTag } from './keys.ts'
import { nodeOf } from './node.ts'
import { forwardTarget, streamPlace } from './placement.ts'
import { defineScript } from './script.ts'

/**
 * Where a command is used: on the stream, the dead letters, the helper keys beside the stream (Helpers) or beside the queue
 * (Marks), the queue's own keys, or on no key, at the stream's server or at the queue's.
 */
type Place = 'Stream' | 'DeadLetters' | 'Helpers' | 'Queue' | 'Marks' | 'StreamServer' | 'QueueServer'

export interface Right {
  /** As ACL rules name it: `xadd`, `xgroup|create`. */
  readonly command: string
  readonly on: readonly Place[]
  /** Only there; everywhere unless told. `Portable`: the way of a BullMQ whose scripts are not known. A consumer does not ask for the operator's. */
  readonly only?: 'Cluster' | 'Portable' | 'Operator'
  readonly why: string
}

const servers = ['StreamServer', 'QueueServer'] as const
/** The self-test at start does in scratch queues beside the marks what is later done in the queue. */
const queue = ['Queue', 'Marks'] as const

export const rights: readonly Right[] = [
  { command: 'ping', on: servers, why: 'opening a connection' },
  { command: 'info', on: servers, why: 'version and maxmemory-policy' },
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
  { command: 'hmget', on: queue, why: 'jobs' },
  { command: 'hmset', on: queue, why: 'jobs' },
  { command: 'hgetall', on: queue, why: 'jobs' },
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
  { command: 'multi', on: ['StreamServer'], only: 'Operator', why: 'a look at one instant' },
  { command: 'exec', on: ['StreamServer'], only: 'Operator', why: 'a look at one instant' },
  { command: 'xinfo|consumers', on: ['Stream'], only: 'Operator', why: 'who is there' },
  { command: 'xread', on: ['Stream'], only: 'Operator', why: 'the entry that wakes a sleeping pipeline' },
  { command: 'hkeys', on: ['Helpers'], only: 'Operator', why: 'names in the registry' },
  { command: 'hvals', on: ['Helpers'], only: 'Operator', why: 'names in the registry' },
  { command: 'mget', on: ['Helpers'], only: 'Operator', why: 'heartbeats' },
  { command: 'cluster|slots', on: servers, only: 'Cluster', why: 'where keys are' },
  { command: 'cluster|info', on: servers, only: 'Cluster', why: 'whether the cluster works' },
  { command: 'asking', on: servers, only: 'Cluster', why: 'keys that are moving' },
]

const queuePlaces: readonly Place[] = ['Queue', 'Marks', 'QueueServer']

/** Key of a place to ask about, and the pattern that covers the place; no key at a server. */
function placesOf(pipeline: CompiledPipeline): Readonly<Record<Place, { readonly key?: string; readonly pattern?: string }>> {
  const place = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  const queueKey = `${target.prefix}:${target.queue}:`
  // Of all groups and scopes: their hash is nothing a person can work out.
  const besides = (prefix: string) => `sp:{${escaped(hashTag(prefix))}}:*`
  return {
    Stream: { key: place.stream, pattern: escaped(place.stream) },
    DeadLetters: { key: place.deadLetters, pattern: escaped(place.deadLetters) },
    Helpers: { key: place.keys.stats, pattern: besides(place.keys.prefix) },
    Queue: { key: `${queueKey}wait`, pattern: `${escaped(queueKey)}*` },
    Marks: { key: target.keys.mark('-'), pattern: besides(target.keys.prefix) },
    StreamServer: {},
    QueueServer: {},
  }
}

/** As a literal within an ACL pattern. */
const escaped = (key: string) => key.replaceAll(/[\\*?[\]^]/g, '\\$&')

/** The least rights as ACL rules, for the user at the stream's Redis and, where the queue is elsewhere, the one there. */
export interface AclRules {
  readonly stream: readonly string[]
  readonly queue?: readonly string[]
}

export function aclRules(pipeline: CompiledPipeline): AclRules {
  const { redis, sink } = pipeline
  const elsewhere = sink.redis
  if (elsewhere === undefined) return { stream: rulesFor(pipeline, redis.kind === 'Cluster', () => true) }
  const isQueue = (place: Place) => queuePlaces.includes(place)
  return {
    stream: rulesFor(pipeline, redis.kind === 'Cluster', (place) => !isQueue(place)),
    queue: rulesFor(pipeline, elsewhere.kind === 'Cluster', isQueue),
  }
}

function rulesFor(pipeline: CompiledPipeline, clustered: boolean, here: (place: Place) => boolean): readonly string[] {
  const places = placesOf(pipeline)
  const wanted = rights.filter(({ on, only }) => on.some(here) && (only !== 'Cluster' || clustered))
  const patterns = wanted.flatMap(({ on }) => on.filter(here).map((place) => places[place].pattern))
  return [
    ...new Set(patterns.filter((pattern) => pattern !== undefined).map((pattern) => `~${pattern}`)),
    ...wanted.map(({ command }) => `+${command}`),
  ]
}

/** ARGV: per question its length and its words. No keys: a script that declares one that is not granted is refused whole. */
const ask = defineScript(
  'checkRights',
  `if not redis.acl_check_cmd then return {} end
local denied, at, number = {}, 1, 0
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  number = number + 1
  local known, allowed = pcall(redis.acl_check_cmd, unpack(ARGV, at + 1, at + words))
  if known and not allowed then denied[#denied + 1] = number end
  at = at + words + 1
end
return denied`,
)

interface Question {
  readonly command: string
  readonly place: Place
  readonly key: string | undefined
  readonly pattern: string | undefined
}

/**
 * Asks whether the users may do what the pipeline needs. Throws RedisPermissionDenied, which names every command and key that
 * is missing and the rules that grant them.
 */
export async function checkRights(
  pipeline: CompiledPipeline,
  stream: RedisConnection,
  queueConnection: RedisConnection,
): Promise<void> {
  const target = forwardTarget(pipeline)
  const everywhere = ({ only }: Right, clustered: boolean) => only === undefined || (only === 'Cluster' && clustered)
  const places = placesOf(pipeline)
  const wanted = ({ isCluster }: RedisConnection, here: (place: Place) => boolean) =>
    questionsOf(
      rights.filter((right) => everywhere(right, isCluster)),
      places,
      here,
    )
  await check(
    stream,
    pipeline.source.stream,
    wanted(stream, (place) => !queuePlaces.includes(place)),
  )
  await check(
    queueConnection,
    `${target.prefix}:${target.queue}:wait`,
    wanted(queueConnection, (place) => queuePlaces.includes(place)),
  )
}

/** What the portable path needs beyond that; asked once it is known that it is used. Throws as `checkRights`. */
export async function checkPortableRights(pipeline: CompiledPipeline, queueConnection: RedisConnection): Promise<void> {
  const { prefix, queue: name } = forwardTarget(pipeline)
  const portable = rights.filter(({ only }) => only === 'Portable')
  await check(
    queueConnection,
    `${prefix}:${name}:wait`,
    questionsOf(portable, placesOf(pipeline), () => true),
  )
}

type Places = ReturnType<typeof placesOf>

function questionsOf(wanted: readonly Right[], places: Places, here: (place: Place) => boolean): readonly Question[] {
  return wanted.flatMap(({ command, on }) =>
    on.filter(here).map((place) => ({ command, place, key: places[place].key, pattern: places[place].pattern })),
  )
}

async function check(connection: RedisConnection, near: string, questions: readonly Question[]): Promise<void> {
  const words = questions.map(wordsOf)
  const reply = await ask.run(
    nodeOf(connection, near),
    [],
    words.flatMap((list) => [list.length, ...list]),
  )
  const denied = new Set(Array.isArray(reply) ? reply.map((number) => questions[Number(number) - 1]) : [])
  if (denied.size === 0) return
  throw failure('RedisPermissionDenied', { detail: `at ${labelOf(connection)}, ${describe(questions, denied)}` })
}

/** The command with its key where it expects it. */
function wordsOf({ command, key }: Question): readonly string[] {
  const name = command.split('|')
  if (key === undefined) return name
  switch (command) {
    case 'xreadgroup':
      return ['xreadgroup', 'GROUP', 'g', 'c', 'STREAMS', key, '>']
    case 'eval':
    case 'evalsha':
      return [command, '-', '1', key]
    default:
      return [...name, key]
  }
}

/** A place where nothing is allowed lacks its key; a command that is refused elsewhere too is itself missing. */
function describe(questions: readonly Question[], denied: ReadonlySet<Question | undefined>): string {
  const closed = (place: Place) =>
    questions.some((question) => question.place === place && question.key !== undefined) &&
    questions.every((question) => question.place !== place || question.key === undefined || denied.has(question))
  const missing: string[] = []
  const rules = new Set<string>()
  for (const question of questions) {
    const { command, place, key, pattern } = question
    if (!denied.has(question)) continue
    const what =
      key === undefined ? command.toUpperCase() : closed(place) ? `any command on ${key}` : `${command.toUpperCase()} on ${key}`
    const text = what.replace('|', ' ')
    if (!missing.includes(text)) missing.push(text)
    rules.add(key !== undefined && closed(place) ? `~${pattern ?? ''}` : `+${command}`)
  }
  return `${missing.join(', ')} (grant ${[...rules].join(' ')})`
}
