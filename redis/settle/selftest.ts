/**
 * Proof, at start, that the composed script does what BullMQ does: one job is added with `queue.add` to a scratch queue and one,
 * equal to the last option, by the composed script to another, and everything both left in Redis is compared. Then the two
 * branches that replace BullMQ's own judgement run: the same key again must be a duplicate, and a finished job older than the
 * window must make way. The scratch queues live among the helper keys, in the slot and under the rights of the real thing, and
 * are deleted afterwards.
 *
 * A process may be killed in between. Each test is therefore registered before it makes anything, and the next one, by whomever,
 * deletes what has been left for a minute.
 */

import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { queueKeyTypes } from '../bullmq/addscript.ts'
import { dataOf, type ForwardItem, jsonOf } from '../bullmq/item.ts'
import { type BullQueue, jobOptionsOf, openBullQueue, recordAdd } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type ForwardTarget, queueKey } from '../placement.ts'
import { createComposedForwarder } from './forwarders/composed.ts'
import { noConfirmation } from './forwarders/replication.ts'

/** What differs from BullMQ, or undefined when nothing does. Throws catalogued errors when Redis refuses. */
export async function selfTest(connection: RedisConnection, target: ForwardTarget): Promise<string | undefined> {
  const run = randomUUID()
  const item: ForwardItem = { hash: hashOfRun(run), json: jsonOf({ text: 'ä"\n', list: [1, null, { deep: true }] }), trace: {} }
  const id = jobId(target.keys.scope, item.hash)
  const reference = { ...target, prefix: prefixOfRun(target, run, 'bullmq') }
  const scratch = { ...target, prefix: prefixOfRun(target, run, 'composed') }
  const opened: BullQueue[] = []
  try {
    await register(connection, target, run)
    for (const { prefix } of [reference, scratch]) opened.push(await openBullQueue(connection, target.queue, prefix))
    const [theirs, ours] = opened
    if (theirs === undefined || ours === undefined) return 'the scratch queues could not be opened'
    return await compare(connection, theirs, ours, reference, scratch, item, id)
  } catch (thrown) {
    const failed = failureOn(connection, thrown)
    // A server that is away or forbids something is told as that; one that cannot run the script is what this test is for.
    if (failed.code !== 'RedisCommandFailed' && failed.code !== 'Internal') throw failed
    return `the composed script failed: ${failed.message}`
  } finally {
    await Promise.all(opened.map((bull) => bull.close()))
    await tidy(connection, target, run).catch(ignoreCleanUp)
  }
}

/** What could not be deleted now is still registered; the failure that matters has been told. */
function ignoreCleanUp() {}

const abandonedAfterMs = 60_000

const hashOfRun = (run: string) => `selftest-${run}`
const prefixOfRun = ({ keys }: ForwardTarget, run: string, whose: 'bullmq' | 'composed') =>
  `${keys.prefix}selftest:${run}:${whose}`
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
  const id = jobId(target.keys.scope, hashOfRun(run))
  const prefixes = [prefixOfRun(target, run, 'bullmq'), prefixOfRun(target, run, 'composed')]
  const litter = prefixes.flatMap((prefix) => keysOf(queueKey({ prefix, queue: target.queue }), id).map(([key]) => key))
  await connection.del(...litter, target.keys.mark(hashOfRun(run)))
  await connection.hdel(registryOf(target), run)
}

async function compare(
  connection: RedisConnection,
  theirs: BullQueue,
  ours: BullQueue,
  reference: ForwardTarget,
  scratch: ForwardTarget,
  item: ForwardItem,
  id: string,
): Promise<string | undefined> {
  const timestamp = Date.now()
  const call = await recordAdd(theirs.queue, reference.jobName, dataOf(item), jobOptionsOf(reference, item, id), timestamp)
  if (typeof call === 'string') return `BullMQ refuses jobs with these options: ${call}`
  await theirs.queue.add(reference.jobName, dataOf(item), { ...jobOptionsOf(reference, item, id), timestamp })
  const forwarder = createComposedForwarder(connection, scratch, ours, noConfirmation, () => timestamp)
  const once = async () => (await forwarder.forward([item])).outcomes[0]?.kind
  if ((await once()) !== 'Forwarded') return 'the composed script did not forward'
  const [expected, actual] = await Promise.all([dump(connection, reference, id), dump(connection, scratch, id)])
  for (const [part, value] of Object.entries(expected)) {
    if (!isDeepStrictEqual(actual[part], value)) return `${part} differs from what queue.add writes`
  }
  if ((await once()) !== 'Duplicate') return 'a marked key was not a duplicate'
  return await outlived(connection, scratch, item, id, once)
}

/** Makes the scratch job a finished one from long ago, without its mark: the next forwarding must replace it. */
async function outlived(
  connection: RedisConnection,
  scratch: ForwardTarget,
  item: ForwardItem,
  id: string,
  once: () => Promise<string | undefined>,
): Promise<string | undefined> {
  const key = queueKey(scratch)
  await connection.hset(key + id, { timestamp: '1', finishedOn: '1' })
  await connection.lrem(`${key}wait`, '0', id)
  await connection.zrem(`${key}delayed`, id)
  await connection.zrem(`${key}prioritized`, id)
  await connection.zadd(`${key}completed`, '1', id)
  // What belongs to a job beside its hash goes only with BullMQ's own removal.
  await connection.rpush(`${key}${id}:logs`, 'a line')
  await connection.del(scratch.keys.mark(item.hash))
  if ((await once()) !== 'Forwarded') return 'a finished job older than the window did not make way'
  const left = [await connection.zscore(`${key}completed`, id), await connection.lrange(`${key}${id}:logs`, 0, 0)].flat()
  if (left.some((part) => part !== null)) return 'a finished job was replaced but not removed'
  return undefined
}

function keysOf(queueKey: string, id: string): (readonly [key: string, type: string, part: string])[] {
  const parts = Object.entries(queueKeyTypes).map(([part, type]) => [queueKey + part, type, part] as const)
  return [...parts, [queueKey + id, 'hash', 'job'] as const, [`${queueKey}${id}:logs`, 'list', 'logs'] as const]
}

async function dump(connection: RedisConnection, { prefix, queue }: ForwardTarget, id: string): Promise<Record<string, unknown>> {
  const read = async (key: string, type: string): Promise<unknown> => {
    switch (type) {
      case 'hash':
        return parsed(await connection.hgetall(key))
      case 'list':
        return await connection.lrange(key, 0, -1)
      case 'zset':
        return await connection.zrange(key, '0', '-1', 'WITHSCORES')
      case 'stream':
        return (await connection.xrange(key, '-', '+')).map(([, fields]) => fields)
      default:
        return await connection.get(key)
    }
  }
  const parts = await Promise.all(
    keysOf(queueKey({ prefix, queue }), id).map(async ([key, type, part]) => [part, await read(key, type)] as const),
  )
  return Object.fromEntries(parts)
}

/** Options are compared parsed: the order of their members varies. The copy of the request is no field of BullMQ's. */
function parsed({ spRequest: _copy, ...hash }: Record<string, string>): Record<string, unknown> {
  if (hash['opts'] === undefined) return hash
  const { timestamp: _, ...opts } = JSON.parse(hash['opts'])
  return { ...hash, opts }
}
