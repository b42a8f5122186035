/**
 * Asks a server whether its user has the rights of a pipeline, before anything is done. A missing right in the middle of a script
 * would leave half of its work done. A script asks by `redis.acl_check_cmd`. Any user may ask for its own rights in this way, while
 * ACL DRYRUN is for administrators.
 *
 * The questions are packed once, and a pipeline brings only its keys. An operator checks a thousand pipelines by a hundred
 * questions each, every half minute.
 */
import { encode } from '@msgpack/msgpack'
import type { CompiledPipeline } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { printableName } from '../../api/printable.ts'
import { aclRule } from '../../api/quoting.ts'
import { labelOf, type RedisConnection } from '../connect/connection.ts'
import { nodeOf } from '../connect/node.ts'
import { checkAcl } from '../scripts/generated.ts'
import { type AclPermission, aclPermissions, isQueuePlace, keysOf, type Place, patternsOf } from './permissions.ts'

interface Question {
  readonly command: string
  readonly place: Place
}

/** Questions that are asked together, and as the script takes them. */
interface Inquiry {
  readonly questions: readonly Question[]
  readonly packed: Buffer
}

/** The script gets a key of each, in this order. */
const places: readonly Place[] = ['Stream', 'DeadLetters', 'Helpers', 'Queue', 'Marks']

const everywhere = () => true

const inquiries = {
  /** Where stream and queue are behind one connection. */
  both: inquiry(asked('Server'), everywhere),
  stream: { Server: streamInquiry('Server'), Cluster: streamInquiry('Cluster') },
  queue: { Server: queueInquiry('Server'), Cluster: queueInquiry('Cluster') },
  operator: inquiry(({ only }) => only === 'Operator', everywhere),
  portable: inquiry(({ only }) => only === 'Portable', everywhere),
  /** Asks for the ordinary rights of these places, too. If every command at a place is refused, the user lacks its key. */
  replay: inquiry(
    ({ only }) => only === undefined || only === 'Replay',
    (place) => !isQueuePlace(place),
  ),
} as const

type Kind = 'Server' | 'Cluster'

function streamInquiry(kind: Kind): Inquiry {
  return inquiry(asked(kind), (place) => !isQueuePlace(place))
}

function queueInquiry(kind: Kind): Inquiry {
  return inquiry(asked(kind), isQueuePlace)
}

function asked(kind: Kind): (right: AclPermission) => boolean {
  return ({ only }) => only === undefined || only === kind
}

function inquiry(which: (right: AclPermission) => boolean, here: (place: Place) => boolean): Inquiry {
  const questions = aclPermissions
    .filter(which)
    .flatMap(({ command, on }) => on.filter(here).map((place) => ({ command, place })))
  return { questions, packed: Buffer.from(encode(questions.map(packedQuestion))) }
}

/** Number of the key, its place among the words, and the command's words; see scripts/checkAcl.lua. */
function packedQuestion({ command, place }: Question): readonly (string | number)[] {
  const name = command.split('|')
  const key = places.indexOf(place) + 1
  if (key === 0) return [0, 0, ...name]
  switch (command) {
    case 'xreadgroup':
      return [key, name.length + 5, ...name, 'GROUP', 'g', 'c', 'STREAMS', '', '>']
    case 'eval':
    case 'evalsha':
      return [key, name.length + 3, ...name, '-', '1', '']
    default:
      return [key, name.length + 1, ...name, '']
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

/** The further rights of the portable path, checked once it is known to be used. Throws as `checkRights`. */
export async function checkPortableRights(pipeline: CompiledPipeline, queue: RedisConnection): Promise<void> {
  await check(pipeline, queue, 'Queue', inquiries.portable)
}

/** The further rights of the operator at the stream. Throws as `checkRights`. */
export async function checkOperatorRights(pipeline: CompiledPipeline, stream: RedisConnection): Promise<void> {
  await check(pipeline, stream, 'Stream', inquiries.operator)
}

/** The rights of `dead replay` at the stream. Throws as `checkRights`. */
export async function checkReplayRights(pipeline: CompiledPipeline, stream: RedisConnection): Promise<void> {
  await check(pipeline, stream, 'Stream', inquiries.replay)
}

async function check(
  pipeline: CompiledPipeline,
  connection: RedisConnection,
  near: Place,
  { questions, packed }: Inquiry,
): Promise<void> {
  const keyOf = keysOf(pipeline)
  const keys = places.map((place) => keyOf[place] ?? '')
  const reply = await checkAcl(await nodeOf(connection, keyOf[near] ?? ''), { questions: packed, keys })
  const denied = new Set(reply.denied.map((number) => questions[number - 1]))
  if (denied.size === 0) return
  throw failure('RedisPermissionDenied', { detail: `at ${labelOf(connection)}, ${describe(pipeline, questions, denied)}` })
}

/** Where every command at a place is refused, the user lacks the right to the key. Where only some are, it lacks these commands. */
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
      key === undefined
        ? command.toUpperCase()
        : closed(place)
          ? `any command on ${printableName(key)}`
          : `${command.toUpperCase()} on ${printableName(key)}`
    const text = what.replace('|', ' ')
    if (!missing.includes(text)) missing.push(text)
    rules.add(aclRule(closed(place) ? `~${patternOf[place] ?? ''}` : `+${command}`))
  }
  return `${missing.join(', ')} (grant ${[...rules].join(' ')})`
}
