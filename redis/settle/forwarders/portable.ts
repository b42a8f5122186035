/**
 * The portable path: only BullMQ's public interface, so it works with any BullMQ and any placement of the queue. Per batch, on
 * the queue's Redis:
 *
 * 1. One script reads the types of the queue's keys. For each idempotency key it then sets the lock (`SET … NX PX`),
 *    and reads the mark and the job.
 * 2. One MULTI holds three steps. A script blocks the adds for keys that were marked meanwhile. `job.addJob(multi)` adds for each key that is
 *    locked and unmarked. A script then marks the keys whose job's hash exists, unless a key of the queue has the wrong type. A failed
 *    member does not stop the others of a MULTI. An add may fail half-way, after the hash: it leaves a job in no list, perhaps marked. So a
 *    mark beside an unfinished job counts only once BullMQ's own `getJobState` finds the job; a job that it does not find is added anew.
 * 3. locks released, each only while it still holds our token.
 *
 * A crash anywhere leaves at most locks, which expire. A forwarder may stall between 1 and 2 for longer than the lock's life. It then finds
 * the other forwarder's mark within the MULTI, and adds nothing. Before the MULTI the forwarder checks the clock (`isLate`), which
 * spares a MULTI that would add nothing.
 */
import { randomUUID } from 'node:crypto'
import type { Queue } from 'bullmq'
import { asFailure } from '../../../api/errors.ts'
import type { ForwardItem } from '../../bullmq/item.ts'
import { type BullQueue, openBullQueue } from '../../bullmq/queue.ts'
import { failureOn, type RedisConnection, refusalOn } from '../../connect/connection.ts'
import { replyCode } from '../../connect/replies.ts'
import { type ForwardTarget, queueKey } from '../../placement.ts'
import { lockJobs, releaseLocks, waitingJobs } from '../../scripts/generated.ts'
import { loadScripts } from '../../scripts/script.ts'
import { type Claim, claimsOf, type Standing, share, standingOf, withoutWork } from './claims.ts'
import { createConfirming } from './confirming.ts'
import type { Forwarder } from './forwarder.ts'
import { removeJob } from './removal.ts'
import { type Confirmation, createConfirmation } from './replication.ts'
import { addJobs } from './transaction.ts'

export function createPortableForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  clock: () => number = () => performance.now(),
  confirmation: Confirmation = createConfirmation(connection, queueKey(target)),
): Forwarder {
  const queue = queueKey(target)
  const confirmed = createConfirming(confirmation)
  let bull: BullQueue | undefined

  const openQueue = async () => {
    bull ??= await openBullQueue(connection, target.queue, target.prefix)
    return bull.queue
  }

  const add = async (claims: readonly Claim[], found: readonly Standing[], isLate: () => boolean) => {
    const opened = await openQueue()
    const standings: Standing[] = []
    for (const [index, claim] of claims.entries()) {
      const standing = await examined(connection, opened, claim, found[index] ?? { kind: 'Fresh' })
      // The next holder of the lock may have put a live job in its place.
      if (standing.kind === 'Outlived' && isLate()) return found.map(withoutWork)
      standings.push(standing.kind === 'Outlived' ? await makeWay(connection, opened, target, claim) : standing)
    }
    return await addJobs(connection, opened, target, claims, standings, isLate)
  }

  const attempt = async (items: readonly ForwardItem[]) => {
    const claims = claimsOf(items, target.keys.scope, queue)
    const token = randomUUID()
    const begun = clock()
    try {
      const { standings, waiting } = await lock(connection, target, claims, token)
      const isLate = () => clock() - begun > target.lockTtlMs / 2
      const outcomes = isLate() ? standings.map(withoutWork) : await add(claims, standings, isLate)
      return { outcomes: await confirmed(items, share(items, claims, outcomes)), waiting }
    } finally {
      await release(connection, target, claims, token)
    }
  }

  return {
    kind: 'Portable',
    async forward(items) {
      try {
        return await attempt(items)
      } catch (thrown) {
        if (replyCode(thrown) !== 'NOSCRIPT') throw thrown
        const texts = [...(bull?.scripts.values() ?? [])].map(({ lua }) => lua)
        await loadScripts(connection, texts)
        return await attempt(items)
      }
    },
    async waiting() {
      return (await waitingJobs(connection, { queue })).waiting
    },
    async close() {
      await bull?.close()
      bull = undefined
    },
  }
}

async function lock(connection: RedisConnection, target: ForwardTarget, claims: readonly Claim[], token: string) {
  const { keys, lockTtlMs, windowMs } = target
  const locked = await lockJobs(
    connection,
    {
      locks: claims.map(({ item }) => keys.lock(item.hash)),
      marks: claims.map(({ item }) => keys.mark(item.hash)),
      jobs: claims.map(({ jobKey }) => jobKey),
    },
    { token, lockTtlMs, queue: queueKey(target) },
  )
  const held = locked.held === '' ? undefined : refusalOn(connection, locked.held)
  const standings = locked.standings.flatMap((found, index): Standing[] => {
    const claim = claims[index]
    if (claim === undefined) return []
    const standing = standingOf(claim, found, locked.now, windowMs)
    const adds = standing.kind === 'Fresh' || standing.kind === 'Outlived'
    return adds && held !== undefined ? [{ kind: 'Decided', outcome: { kind: 'Failed', failure: held } } as const] : [standing]
  })
  return { standings, waiting: locked.waiting }
}

async function release(
  connection: RedisConnection,
  { keys }: ForwardTarget,
  claims: readonly Claim[],
  token: string,
): Promise<void> {
  try {
    await releaseLocks(connection, { locks: claims.map(({ item }) => keys.lock(item.hash)) }, { token })
  } catch (thrown) {
    // The caller must receive the first failure. A lock that stays expires by itself.
    if (!asFailure(thrown).retryable) throw thrown
  }
}

/** Removes the job. Another program may have spoilt its parts: then only its own entry waits, and its neighbours are added. */
async function makeWay(connection: RedisConnection, queue: Queue, target: ForwardTarget, claim: Claim): Promise<Standing> {
  try {
    await removeJob(connection, queue, target, claim)
    return { kind: 'Outlived' }
  } catch (thrown) {
    const failure = asFailure(thrown)
    if (failure.code !== 'RedisCommandFailed' || replyCode(thrown) === 'NOSCRIPT') throw thrown
    return { kind: 'Decided', outcome: { kind: 'Failed', failure } }
  }
}

/** A job whose hash is there, but that is in none of BullMQ's states, was never added completely. */
async function examined(connection: RedisConnection, queue: Queue, claim: Claim, standing: Standing): Promise<Standing> {
  if (standing.kind !== 'Existing' || standing.certain) return standing
  try {
    if ((await queue.getJobState(claim.id)) !== 'unknown') return standing
    // Gone by now: it was finished and removed while we asked.
    return (await connection.exists(claim.jobKey)) === 1 ? { kind: 'Outlived' } : standing
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}
