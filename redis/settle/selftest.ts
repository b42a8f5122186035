/**
 * A proof at start that the composed script does the same as BullMQ. `queue.add` adds one job to a scratch queue. The composed
 * script adds one with equal options to another queue. Then all their keys in Redis are compared. Then the two branches that
 * replace BullMQ's own judgement run. The same key again must be a duplicate. A finished job older than the window must make way.
 * addtest.ts proves the specialised add.
 */
import { isDeepStrictEqual } from 'node:util'
import { dataOf, type ForwardItem } from '../bullmq/item.ts'
import { jobOptionsOf } from '../bullmq/joboptions.ts'
import { recordAdd } from '../bullmq/queue.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type ForwardTarget, queueKey } from '../placement.ts'
import { createComposedForwarder } from './forwarders/composed.ts'
import { noConfirmation } from './forwarders/replication.ts'
import { inScratch, type Scratch } from './scratch.ts'

/** The difference from BullMQ; undefined: none. Throws catalogued errors when Redis refuses. */
export async function selfTest(connection: RedisConnection, target: ForwardTarget): Promise<string | undefined> {
  return await inScratch(connection, target, async (scratch) => await compare(connection, scratch))
}

async function compare(connection: RedisConnection, scratch: Scratch): Promise<string | undefined> {
  const [theirs, ours] = await Promise.all([scratch.open(), scratch.open()])
  const [item, reference] = [scratch.item('a'), theirs.target]
  const id = jobId(reference.keys.scope, item.hash)
  const timestamp = Date.now()
  const call = await recordAdd(theirs.bull.queue, reference.jobName, dataOf(item), jobOptionsOf(reference, item, id), timestamp)
  if (typeof call === 'string') return `BullMQ refuses jobs with these options: ${call}`
  await theirs.bull.queue.add(reference.jobName, dataOf(item), { ...jobOptionsOf(reference, item, id), timestamp })
  const forwarder = createComposedForwarder(connection, ours.target, ours.bull, noConfirmation, 'BullMQ', () => timestamp)
  const once = async () => (await forwarder.forward([item])).outcomes[0]?.kind
  if ((await once()) !== 'Forwarded') return 'the composed script did not forward'
  const [expected, actual] = await Promise.all([scratch.content(theirs, 'a'), scratch.content(ours, 'a')])
  for (const [part, value] of Object.entries(expected)) {
    // Marks, and our own fields of jobs, are none of BullMQ's.
    if (!part.startsWith('mark of') && !isDeepStrictEqual(withoutOwnFields(actual[part]), value)) {
      return `${part} differs from what queue.add writes`
    }
  }
  if ((await once()) !== 'Duplicate') return 'a marked key was not a duplicate'
  return await outlived(connection, ours.target, item, id, once)
}

function withoutOwnFields(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('spAdded' in value)) return value
  const { spAdded: _, spRequest: _copy, ...rest } = value as Readonly<Record<string, unknown>>
  return rest
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
  // Keys of a job beside its hash go only with BullMQ's own removal.
  await connection.rpush(`${key}${id}:logs`, 'a line')
  await connection.del(scratch.keys.mark(item.hash))
  if ((await once()) !== 'Forwarded') return 'a finished job older than the window did not make way'
  const left = [await connection.zscore(`${key}completed`, id), await connection.lrange(`${key}${id}:logs`, 0, 0)].flat()
  if (left.some((part) => part !== null)) return 'a finished job was replaced but not removed'
  return undefined
}
