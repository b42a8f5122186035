/**
 * Asks a server whether its user may do what a pipeline needs, before anything is done: a right that is missing half-way through a
 * script leaves half of its work done. Asked is `redis.acl_check_cmd`, from a script: what a user may do, it may ask, while ACL
 * DRYRUN is for administrators.
 *
 * A script's text holds the questions, and a pipeline brings only its keys: an operator asks a hundred questions about each of a
 * thousand pipelines every half minute.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { labelOf, type RedisConnection } from '../connect/connection.ts'
import { nodeOf } from '../connect/node.ts'
import { defineScript, type Script } from '../scripts/script.ts'
import { isQueuePlace, keysOf, type Place, patternsOf, type Right, rights } from './permissions.ts'

interface Question {
  readonly command: string
  readonly place: Place
}

/** Questions that are asked together, and the script that asks them. */
interface Inquiry {
  readonly questions: readonly Question[]
  readonly script: Script
}

/** ARGV: a key of each, in this order. No KEYS: a script that declares one that is not granted is refused whole. */
const places: readonly Place[] = ['Stream', 'DeadLetters', 'Helpers', 'Queue', 'Marks']

const everywhere = () => true

const inquiries = {
  /** Where stream and queue are behind one connection. */
  both: inquiry('Rights', asked('Server'), everywhere),
  stream: { Server: streamInquiry('Server'), Cluster: streamInquiry('Cluster') },
  queue: { Server: queueInquiry('Server'), Cluster: queueInquiry('Cluster') },
  operator: inquiry('OperatorRights', ({ only }) => only === 'Operator', everywhere),
  portable: inquiry('PortableRights', ({ only }) => only === 'Portable', everywhere),
} as const

type Kind = 'Server' | 'Cluster'

function streamInquiry(kind: Kind): Inquiry {
  return inquiry(`StreamRightsAt${kind}`, asked(kind), (place) => !isQueuePlace(place))
}

function queueInquiry(kind: Kind): Inquiry {
  return inquiry(`QueueRightsAt${kind}`, asked(kind), isQueuePlace)
}

function asked(kind: Kind): (right: Right) => boolean {
  return ({ only }) => only === undefined || only === kind
}

function inquiry(name: string, which: (right: Right) => boolean, here: (place: Place) => boolean): Inquiry {
  const questions = rights.filter(which).flatMap(({ command, on }) => on.filter(here).map((place) => ({ command, place })))
  const lua = `if not redis.acl_check_cmd then return {} end
local denied, number = {}, 0
local function ask(...)
  number = number + 1
  local known, allowed = pcall(redis.acl_check_cmd, ...)
  if known and not allowed then denied[#denied + 1] = number end
end
${questions.map((question) => `ask(${wordsOf(question).join(', ')})`).join('\n')}
return denied`
  return { questions, script: defineScript(`check${name}`, lua) }
}

/** The command with its key where it expects it, in Lua. */
function wordsOf({ command, place }: Question): readonly string[] {
  const name = command.split('|').map((word) => `'${word}'`)
  const at = places.indexOf(place)
  if (at === -1) return name
  const key = `ARGV[${at + 1}]`
  switch (command) {
    case 'xreadgroup':
      return [...name, "'GROUP'", "'g'", "'c'", "'STREAMS'", key, "'>'"]
    case 'eval':
    case 'evalsha':
      return [...name, "'-'", "'1'", key]
    default:
      return [...name, key]
  }
}

/**
 * Asks whether the users may do what the pipeline needs. Throws RedisPermissionDenied, which names every command and key that
 * is missing and the rules that grant them.
 */
export async function checkRights(pipeline: CompiledPipeline, stream: RedisConnection, queue: RedisConnection): Promise<void> {
  if (stream === queue && !stream.isCluster) return await check(pipeline, stream, 'Stream', inquiries.both)
  const kindOf = ({ isCluster }: RedisConnection) => (isCluster ? 'Cluster' : 'Server')
  await check(pipeline, stream, 'Stream', inquiries.stream[kindOf(stream)])
  await check(pipeline, queue, 'Queue', inquiries.queue[kindOf(queue)])
}

/** What the portable path needs beyond that; asked once it is known that it is used. Throws as `checkRights`. */
export async function checkPortableRights(pipeline: CompiledPipeline, queue: RedisConnection): Promise<void> {
  await check(pipeline, queue, 'Queue', inquiries.portable)
}

/** What the operator needs beyond that, at the stream. Throws as `checkRights`. */
export async function checkOperatorRights(pipeline: CompiledPipeline, stream: RedisConnection): Promise<void> {
  await check(pipeline, stream, 'Stream', inquiries.operator)
}

async function check(
  pipeline: CompiledPipeline,
  connection: RedisConnection,
  near: Place,
  { questions, script }: Inquiry,
): Promise<void> {
  const keyOf = keysOf(pipeline)
  const keys = places.map((place) => keyOf[place] ?? '')
  const reply = await script.run(await nodeOf(connection, keyOf[near] ?? ''), [], keys)
  const denied = new Set(Array.isArray(reply) ? reply.map((number) => questions[Number(number) - 1]) : [])
  if (denied.size === 0) return
  throw failure('RedisPermissionDenied', { detail: `at ${labelOf(connection)}, ${describe(pipeline, questions, denied)}` })
}

/** A place where nothing is allowed lacks its key; a command that is refused elsewhere too is itself missing. */
function describe(pipeline: CompiledPipeline, questions: readonly Question[], denied: ReadonlySet<Question | undefined>): string {
  const keyOf = keysOf(pipeline)
  const patternOf = patternsOf(pipeline)
  const closed = (place: Place) =>
    keyOf[place] !== undefined && questions.every((question) => question.place !== place || denied.has(question))
  const missing: string[] = []
  const rules = new Set<string>()
  for (const question of questions) {
    const { command, place } = question
    if (!denied.has(question)) continue
    const key = keyOf[place]
    const what =
      key === undefined ? command.toUpperCase() : closed(place) ? `any command on ${key}` : `${command.toUpperCase()} on ${key}`
    const text = what.replace('|', ' ')
    if (!missing.includes(text)) missing.push(text)
    rules.add(closed(place) ? `~${patternOf[place] ?? ''}` : `+${command}`)
  }
  return `${missing.join(', ')} (grant ${[...rules].join(' ')})`
}
