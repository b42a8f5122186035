/**
 * A proof at start that the specialised add leaves the same keys in Redis as BullMQ's own text. Both ways add the same jobs to
 * scratch queues of their own. These are then compared part by part, events included. One round adds jobs of every kind to an empty
 * queue. The others add jobs with the pipeline's own options to queues in every state, among jobs of every standing.
 */
import { isDeepStrictEqual } from 'node:util'
import type { CompiledJobOptions } from '../../api/compiled.ts'
import { type AddWay, unsuitable } from '../bullmq/specialisedadd.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type ForwardTarget, queueKey } from '../placement.ts'
import { createComposedForwarder } from './forwarders/composed.ts'
import { noConfirmation } from './forwarders/replication.ts'
import { inScratch, type Scratch, type ScratchQueue } from './scratch.ts'

/** Why jobs are added by BullMQ's own text; undefined: the specialised add is proven. Throws catalogued errors when Redis is away. */
export async function testSpecialisedAdd(connection: RedisConnection, target: ForwardTarget): Promise<string | undefined> {
  return (
    unsuitable(target.jobOptions) ??
    (await inScratch(connection, target, async (scratch) => await compareAll(connection, scratch, target.jobOptions)))
  )
}

/** A case has queues of its own, so that all are tried at once. */
interface Case {
  readonly what: string
  readonly jobOptions: CompiledJobOptions
  readonly states: readonly State[]
}

async function compareAll(
  connection: RedisConnection,
  scratch: Scratch,
  jobOptions: CompiledJobOptions,
): Promise<string | undefined> {
  const kinds = kindsOf(jobOptions).map(([what, more]) => ({
    ...{ what: `${what} jobs`, jobOptions: { ...plain(jobOptions), ...more } },
    states: [states.empty],
  }))
  const own = [[states.empty, states.used], [states.paused], [states.full, states.free]]
  const cases = [...kinds, ...own.map((tried) => ({ what: 'jobs', jobOptions, states: tried }))]
  // All have ended before the scratch queues are deleted.
  const tried = await Promise.allSettled(cases.map(async (one) => await compare(connection, scratch, one)))
  for (const one of tried) {
    if (one.status === 'rejected') throw one.reason
    if (one.value !== undefined) return one.value
  }
  return undefined
}

/** The options without what decides where a job goes. */
function plain({ delay: _, priority: _1, lifo: _2, ...rest }: CompiledJobOptions): CompiledJobOptions {
  return rest
}

type Kind = readonly [what: string, options: Partial<CompiledJobOptions>]

/** Each option that a resource offers. The pipeline's own are tried in every state besides. */
function kindsOf({ attempts }: CompiledJobOptions): readonly Kind[] {
  const kept = { removeOnComplete: { age: 60, count: 5 }, removeOnFail: true }
  return [
    ['plain', {}],
    ['delayed', { delay: 60_000 }],
    ['prioritised', { priority: 7 }],
    ['delayed and prioritised', { delay: 1, priority: 7, backoff: { type: 'fixed', delay: 1_000 } }],
    ['last in, first out', { lifo: true, attempts: attempts + 1, backoff: { type: 'exponential', delay: 1_000 }, ...kept }],
  ]
}

/** A state of the queue, and jobs that are added then, by their letters. A queue keeps what earlier states of its case left. */
interface State {
  readonly name: string
  readonly jobs: string
  prepare?(connection: RedisConnection, key: string, job: (letter: string) => string, now: number): Promise<unknown>
}

const states = {
  empty: { name: 'an empty queue', jobs: 'abac' },
  used: {
    name: 'a queue in use, with jobs of each standing',
    jobs: 'adefg',
    async prepare(connection, key, job, now) {
      const stored = { name: 'x', data: '{}', opts: '{}', delay: '0', priority: '0' }
      await Promise.all([
        // Waits without a mark; was finished longer ago than any window; was left half-made.
        connection.hset(key + job('d'), { ...stored, timestamp: String(now) }),
        connection.lpush(`${key}wait`, job('d')),
        connection.hset(key + job('e'), { ...stored, timestamp: '1', finishedOn: '1' }),
        connection.zadd(`${key}completed`, '1', job('e')),
        connection.rpush(`${key}${job('e')}:logs`, 'a line'),
        connection.hset(key + job('f'), { ...stored, timestamp: String(now) }),
      ])
    },
  },
  paused: {
    name: 'a paused queue',
    jobs: 'ab',
    prepare: async (connection, key) => await connection.hset(`${key}meta`, { paused: '1', 'opts.maxLenEvents': '100' }),
  },
  full: {
    name: 'a queue at its limit',
    jobs: 'ab',
    prepare: async (connection, key) =>
      await Promise.all([connection.hset(`${key}meta`, { concurrency: '1' }), connection.rpush(`${key}active`, 'another')]),
  },
  free: {
    name: 'a queue below its limit',
    jobs: 'cd',
    prepare: async (connection, key) => await connection.hset(`${key}meta`, { concurrency: '2' }),
  },
} as const satisfies Readonly<Record<string, State>>

async function compare(
  connection: RedisConnection,
  scratch: Scratch,
  { what, jobOptions, states: tried }: Case,
): Promise<string | undefined> {
  const open = async (): Promise<ScratchQueue> => {
    const { bull, target } = await scratch.open()
    return { bull, target: { ...target, jobOptions } }
  }
  const [own, specialised] = await Promise.all([open(), open()])
  const now = Date.now()
  const forwarder = ({ target, bull }: ScratchQueue, way: AddWay) =>
    createComposedForwarder(connection, target, bull, noConfirmation, way, () => now)
  const ways = [forwarder(own, 'BullMQ'), forwarder(specialised, 'Specialised')] as const
  const job = (letter: string) => jobId(own.target.keys.scope, scratch.item(letter).hash)
  let known = ''
  for (const { name, jobs, prepare } of tried as readonly State[]) {
    await Promise.all([own, specialised].map(({ target }) => prepare?.(connection, queueKey(target), job, now)))
    const items = [...jobs].map(scratch.item)
    const [expected = [], actual = []] = await Promise.all(ways.map(async (way) => (await way.forward(items)).outcomes))
    const failed = [...expected, ...actual].find((outcome) => outcome.kind === 'Failed')
    if (failed !== undefined) return `${what} to ${name}: ${failed.failure.message}`
    const differing = actual.find((outcome, index) => !isDeepStrictEqual(outcome, expected[index]))
    if (differing !== undefined) return `${what} to ${name}: one is ${differing.kind}`
    known += jobs
    const [theirs, ours] = await Promise.all([scratch.content(own, known), scratch.content(specialised, known)])
    const part = Object.keys(theirs).find((key) => !isDeepStrictEqual(ours[key], theirs[key]))
    if (part !== undefined) return `${what} to ${name}: ${part} differs from what BullMQ’s own text writes`
  }
  return undefined
}
