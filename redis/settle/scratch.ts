/**
 * Scratch queues for the self-tests at start. They live among the helper keys, in the slot and under the rights of the real thing, and are
 * deleted afterwards. A process may be killed in between. Each run is therefore registered before it makes anything, and the next one, of
 * any process, deletes what has been left for a minute.
 */
import { randomUUID } from 'node:crypto'
import { failure } from '../../api/errors.ts'
import { queueKeyTypes } from '../bullmq/addscript.ts'
import { type ForwardItem, jsonOf } from '../bullmq/item.ts'
import { type BullQueue, openBullQueue } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type ForwardTarget, queueKey } from '../placement.ts'
import { type ReadKeysFoundReply, readKeys } from '../scripts/generated.ts'

/** Most queues of a run, by number. */
const maxQueues = 18
/** Names of a run's jobs. A run of an earlier release has one, without a letter. */
const allJobs = ['', ...'abcdefg']
/** Queues of a run of an earlier release. */
const earlierQueues = ['bullmq', 'composed']

export interface ScratchQueue {
  readonly bull: BullQueue
  readonly target: ForwardTarget
}

export interface Scratch {
  open(): Promise<ScratchQueue>
  item(letter: string): ForwardItem
  /** All that a queue holds, by part: a queue's keys, the jobs of these letters with their logs, and their marks. */
  content(queue: ScratchQueue, jobs: string): Promise<Readonly<Record<string, unknown>>>
}

/** @returns what `work` returned: what differs; undefined when nothing does. Throws catalogued errors when Redis refuses. */
export async function inScratch(
  connection: RedisConnection,
  target: ForwardTarget,
  work: (scratch: Scratch) => Promise<string | undefined>,
): Promise<string | undefined> {
  const run = randomUUID()
  const opened: BullQueue[] = []
  let queues = 0
  const keysOfQueue = ({ target: { prefix, queue, keys } }: ScratchQueue, jobs: string) =>
    keysOf(target, run, prefix, queue, keys.mark, jobs)
  try {
    await register(connection, target, run)
    return await work({
      async open() {
        const number = queues++
        if (number >= maxQueues) throw failure('Internal', { detail: `more than ${maxQueues} scratch queues` })
        const prefix = prefixOf(target, run, String(number))
        const bull = await openBullQueue(connection, target.queue, prefix)
        opened.push(bull)
        const keys = { ...target.keys, mark: (hash: string) => `${prefix}:mark:${hash}` }
        return { bull, target: { ...target, prefix, keys } }
      },
      item: (letter) => ({
        hash: hashOf(run, letter),
        json: jsonOf({ text: 'ä"\n', list: [1, null, { deep: true }], letter }),
        trace: {},
      }),
      async content(queue, jobs) {
        const parts = keysOfQueue(queue, jobs)
        const { found } = await readKeys(connection, { keys: parts.map(({ key }) => key) })
        return Object.fromEntries(parts.map(({ part }, index) => [part, contentOf(found[index])]))
      },
    })
  } catch (thrown) {
    const failed = failureOn(connection, thrown)
    // A server that is away or forbids something is reported as that. This test is for one that cannot run the script.
    if (failed.code !== 'RedisCommandFailed' && failed.code !== 'Internal') throw failed
    return `the composed script failed: ${failed.message}`
  } finally {
    await Promise.all(opened.map((bull) => bull.close()))
    await tidy(connection, target, run).catch(ignoreCleanUp)
  }
}

/** A key that could not be deleted now is still registered, and the failure that matters has been reported. */
function ignoreCleanUp() {}

const abandonedAfterMs = 60_000

const hashOf = (run: string, letter: string) => `selftest-${run}${letter === '' ? '' : `-${letter}`}`
const prefixOf = ({ keys }: ForwardTarget, run: string, name: string) => `${keys.prefix}selftest:${run}:${name}`
/** Hash: run → server time of its start, milliseconds. */
const registryOf = ({ keys }: ForwardTarget) => `${keys.prefix}selftests`

async function register(connection: RedisConnection, target: ForwardTarget, run: string): Promise<void> {
  const [seconds] = await connection.time()
  const now = Number(seconds) * 1_000
  const others = await connection.hgetall(registryOf(target))
  for (const [other, begun] of Object.entries(others)) {
    if (now - Number(begun) > abandonedAfterMs) await tidy(connection, target, other)
  }
  await connection.hset(registryOf(target), run, String(now))
}

async function tidy(connection: RedisConnection, target: ForwardTarget, run: string): Promise<void> {
  const names = [...earlierQueues, ...Array.from({ length: maxQueues }, (_, number) => String(number))]
  const litter = names.flatMap((name) => {
    const prefix = prefixOf(target, run, name)
    return keysOf(target, run, prefix, target.queue, (hash) => `${prefix}:mark:${hash}`, allJobs).map(({ key }) => key)
  })
  // Runs of an earlier release have this mark.
  await connection.del(...litter, target.keys.mark(hashOf(run, '')))
  await connection.hdel(registryOf(target), run)
}

interface ScratchKey {
  readonly key: string
  readonly part: string
}

function keysOf(
  { keys }: ForwardTarget,
  run: string,
  prefix: string,
  queue: string,
  mark: (hash: string) => string,
  jobs: Iterable<string>,
): readonly ScratchKey[] {
  const base = queueKey({ prefix, queue })
  const parts = Object.keys(queueKeyTypes).map((part) => ({ key: base + part, part }))
  const ofJobs = [...jobs].flatMap((letter) => {
    const hash = hashOf(run, letter)
    const key = base + jobId(keys.scope, hash)
    return [
      { key, part: `job ${letter}` },
      { key: `${key}:logs`, part: `logs of job ${letter}` },
      { key: mark(hash), part: `mark of job ${letter}` },
    ]
  })
  return [...parts, ...ofJobs]
}

/**
 * Options are compared parsed: the order of their members varies. BullMQ keeps a `timestamp` that was given as an option among
 * them. It is left out here.
 */
function contentOf(found: ReadKeysFoundReply | undefined): unknown {
  if (found?.type !== 'hash') return found
  const hash: Record<string, unknown> = {}
  for (let i = 0; i + 1 < found.values.length; i += 2) hash[found.values[i] ?? ''] = found.values[i + 1]
  if (typeof hash['opts'] !== 'string') return hash
  const { timestamp: _, ...opts } = JSON.parse(hash['opts'])
  return { ...hash, opts }
}
