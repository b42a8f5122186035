/**
 * The portable path: only BullMQ's public interface, so it works with any BullMQ and any placement of the queue. Per batch, on
 * the queue's Redis:
 *
 * 1. one script: the types of the queue's keys, then for each key `SET lock token NX PX` and a look at its mark and its job;
 * 2. one MULTI: `job.addJob(multi)` for each key that is locked and unmarked, then a script that marks those whose job's hash is
 *    there, unless a key of the queue is of the wrong type. A failed member does not stop the others of a MULTI, and an add may
 *    fail half-way, after the hash: a job in no list, perhaps marked. So a mark beside a job that is not finished is not believed
 *    before BullMQ's own `getJobState` knows where the job is; one it does not know is added anew;
 * 3. locks released, each only while it still holds our token.
 *
 * A crash anywhere leaves at most locks, which expire. Exactly-once ends where a forwarder stalls for longer than the lock's
 * life between 1 and 2 *and* the job of the other one is already finished and removed: then a second job is made. The check of
 * the elapsed time before 2 narrows that window to the flight of one command.
 */

import { randomUUID } from 'node:crypto'
import { Job, type Queue } from 'bullmq'
import type { ChainableCommander } from 'ioredis'
import { asFailure, failure } from '../../../api/errors.ts'
import { typeFunctions } from '../../bullmq/addscript.ts'
import { dataOf, type ForwardItem } from '../../bullmq/item.ts'
import { type BullQueue, jobOptionsOf, openBullQueue } from '../../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../../connect/connection.ts'
import { replyCode } from '../../connect/replies.ts'
import { jobId } from '../../keys.ts'
import type { ForwardTarget } from '../../placement.ts'
import { defineScript, loadScripts } from '../../scripts/script.ts'
import type { Forwarder, ForwardOutcome } from './forwarder.ts'
import { confirmReplicas } from './replication.ts'

/** Locks and looks, per key: replies {locked, marked, type of the job's key, its timestamp and finishedOn}; waiting, server time. */
const lockJobs = defineScript(
  'lockJobs',
  `${typeFunctions}
local wrong = checkTypes(ARGV[3])
if wrong then return wrong end
local found = {}
for i = 1, #KEYS, 3 do
  local locked = redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2], 'NX') and 1 or 0
  local holds = redis.call('TYPE', KEYS[i + 2]).ok
  local job = holds == 'hash' and redis.call('HMGET', KEYS[i + 2], 'timestamp', 'finishedOn') or {}
  found[#found + 1] = {locked, redis.call('EXISTS', KEYS[i + 1]), holds, job[1] or '', job[2] or ''}
end
local time = redis.call('TIME')
local waiting = redis.call('LLEN', ARGV[3] .. 'wait') + redis.call('ZCARD', ARGV[3] .. 'prioritized')
return {waiting, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), found}`,
)

/** A key of the wrong type made the add before this one fail half-way: it is still wrong here, since a MULTI is one step. */
const markJobs = defineScript(
  'markJobs',
  `${typeFunctions}
local wrong = checkTypes(ARGV[1])
if wrong then return wrong end
local marked = {}
for i = 1, #KEYS, 2 do
  marked[#marked + 1] = redis.call('EXISTS', KEYS[i + 1])
  if marked[#marked] == 1 then redis.call('SET', KEYS[i], ARGV[2 + (i + 1) / 2], 'PX', ARGV[2]) end
end
return marked`,
)

const releaseLocks = defineScript(
  'releaseLocks',
  `local released = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('DEL', KEYS[i])
    released = released + 1
  end
end
return released`,
)

/** What the lock step found out about one distinct key. */
type Standing =
  | { readonly kind: 'Decided'; readonly outcome: ForwardOutcome }
  /** No mark, no job: ours to add. */
  | { readonly kind: 'Fresh' }
  /** A job of this key exists: it stands for the mark, which is written anew, where missing, for what is left of the window. */
  | { readonly kind: 'Existing'; readonly finished: boolean; readonly marked: boolean; readonly remainingMs: number }
  /**
   * A job that makes way: unmarked, finished and older than the window, retained only by removeOnComplete or removeOnFail; or what
   * a failed add left in no list, marked or not.
   */
  | { readonly kind: 'Outlived' }

/** One distinct key of a batch: the first item that has it does the work, the others share its fate. */
interface Claim {
  readonly item: ForwardItem
  readonly id: string
  readonly jobKey: string
}

export function createPortableForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  clock: () => number = () => performance.now(),
): Forwarder {
  const { keys } = target
  const queueKey = `${target.prefix}:${target.queue}`
  let bull: BullQueue | undefined

  const openQueue = async () => {
    bull ??= await openBullQueue(connection, target.queue, target.prefix)
    return bull.queue
  }

  const lock = async (claims: readonly Claim[], token: string) => {
    const guarded = claims.flatMap(({ item, jobKey }) => [keys.lock(item.hash), keys.mark(item.hash), jobKey])
    const reply = await lockJobs.run(connection, guarded, [token, target.lockTtlMs, `${queueKey}:`])
    const [waiting, now, found] = Array.isArray(reply) ? reply : []
    const standings = claims.map(({ id, jobKey }, index): Standing => {
      const [locked, marked, holds, timestamp, finishedOn] = Array.isArray(found?.[index]) ? found[index].map(String) : []
      const mayHang = holds === 'hash' && finishedOn === ''
      if (marked === '1' && !mayHang) return { kind: 'Decided', outcome: { kind: 'Duplicate', jobId: id } }
      if (locked !== '1') return { kind: 'Decided', outcome: { kind: 'Contended' } }
      if (holds === 'none') return { kind: 'Fresh' }
      if (holds === 'hash') return standingOfJob(timestamp, finishedOn, marked === '1', Number(now), target.windowMs)
      return { kind: 'Decided', outcome: { kind: 'Rejected', error: `key ${jobKey} holds a ${holds}, not a job` } }
    })
    return { standings, waiting: Number(waiting) }
  }

  /** A job that is in none of BullMQ's states, although it is there, was never added to the end. */
  const examined = async (opened: Queue, claim: Claim, standing: Standing): Promise<Standing> => {
    if (standing.kind !== 'Existing' || standing.finished) return standing
    try {
      if ((await opened.getJobState(claim.id)) !== 'unknown') return standing
      // Gone by now: it was finished and removed while we asked.
      return (await connection.exists(claim.jobKey)) === 1 ? { kind: 'Outlived' } : standing
    } catch (thrown) {
      throw failureOn(connection, thrown)
    }
  }

  const add = async (
    claims: readonly Claim[],
    found: readonly Standing[],
    isLate: () => boolean,
  ): Promise<readonly ForwardOutcome[]> => {
    const opened = await openQueue()
    const standings: Standing[] = []
    for (const [index, claim] of claims.entries()) {
      const standing = await examined(opened, claim, found[index] ?? { kind: 'Fresh' })
      standings.push(standing)
      if (standing.kind !== 'Outlived') continue
      // The next holder of the lock may have put a live job in its place.
      if (isLate()) return found.map(withoutWork)
      await removeJob(connection, opened, claim)
    }
    const multi = (await opened.getBackend().client).multi()
    const commander = commanderOf(multi)
    const outcomes: ForwardOutcome[] = []
    const answers: { claim: Claim; index: number }[] = []
    let commands = 0
    for (const [index, claim] of claims.entries()) {
      const standing = standings[index] ?? { kind: 'Fresh' }
      const mark = keys.mark(claim.item.hash)
      switch (standing.kind) {
        case 'Decided':
          outcomes[index] = standing.outcome
          break
        case 'Existing':
          outcomes[index] = { kind: 'Duplicate', jobId: claim.id }
          if (standing.marked) break
          commander.set(mark, claim.item.origin ?? 'direct', 'PX', standing.remainingMs)
          commands += 1
          break
        case 'Fresh':
        case 'Outlived': {
          const refused = await queueJob(opened, multi, target, claim)
          if (refused !== undefined) {
            outcomes[index] = { kind: 'Rejected', error: refused }
            break
          }
          answers.push({ claim, index: commands })
          commands += 1
          outcomes[index] = { kind: 'Forwarded', jobId: claim.id }
          break
        }
        default:
          standing satisfies never
      }
    }
    if (commands === 0) return outcomes
    const marked = answers.flatMap(({ claim }) => [keys.mark(claim.item.hash), claim.jobKey])
    const origins = answers.map(({ claim }) => claim.item.origin ?? 'direct')
    if (answers.length > 0) markJobs.queue(commander, connection, marked, [`${queueKey}:`, target.windowMs, ...origins])
    // Asked last, in one breath with sending: preparing takes time, and a process may be stopped in the middle of it.
    if (isLate()) return standings.map(withoutWork)
    const replies = await execute(connection, commander)
    const marks: unknown = answers.length > 0 ? replies.at(-1) : []
    for (const [order, { claim, index }] of answers.entries()) {
      if (replies[index] !== claim.id || !Array.isArray(marks) || marks[order] !== 1) {
        const detail = `job ${claim.id} was answered with ${String(replies[index])}`
        throw failure('RedisCommandFailed', { command: 'add', detail })
      }
    }
    return outcomes
  }

  const attempt = async (items: readonly ForwardItem[]) => {
    const claims = distinct(items, keys.scope, queueKey)
    const token = randomUUID()
    const begun = clock()
    try {
      const { standings, waiting } = await lock(claims, token)
      const isLate = () => clock() - begun > target.lockTtlMs / 2
      const outcomes = isLate() ? standings.map(withoutWork) : await add(claims, standings, isLate)
      await confirmReplicas(connection, `${queueKey}:`)
      return { outcomes: share(items, claims, outcomes), waiting }
    } finally {
      await release(
        connection,
        claims.map((claim) => keys.lock(claim.item.hash)),
        token,
      )
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
        await loadScripts(connection, [...texts, markJobs.lua])
        return await attempt(items)
      }
    },
    async waiting() {
      const pipeline = connection.pipeline().llen(`${queueKey}:wait`).zcard(`${queueKey}:prioritized`)
      const [wait, prioritized] = await execute(connection, pipeline)
      return Number(wait) + Number(prioritized)
    },
    async close() {
      await bull?.close()
      bull = undefined
    },
  }
}

function distinct(items: readonly ForwardItem[], scope: string, queueKey: string): readonly Claim[] {
  const claims = new Map<string, Claim>()
  for (const item of items) {
    if (claims.has(item.hash)) continue
    const id = jobId(scope, item.hash)
    claims.set(item.hash, { item, id, jobKey: `${queueKey}:${id}` })
  }
  return [...claims.values()]
}

/** Items that share a key with an earlier one of their batch are its duplicates, or wait like it. */
function share(items: readonly ForwardItem[], claims: readonly Claim[], outcomes: readonly ForwardOutcome[]): ForwardOutcome[] {
  const byHash = new Map(claims.map((claim, index) => [claim.item.hash, { first: claim.item, outcome: outcomes[index] }]))
  return items.map((item) => {
    const shared = byHash.get(item.hash)
    if (shared?.outcome === undefined) throw failure('Internal', { detail: 'an item of the batch was left without an outcome' })
    const { first, outcome } = shared
    return outcome.kind === 'Forwarded' && first !== item ? { kind: 'Duplicate', jobId: outcome.jobId } : outcome
  })
}

/** Too much of the lock's life is gone to start adding: whoever waits for it may take over any moment. */
function withoutWork(standing: Standing): ForwardOutcome {
  return standing.kind === 'Decided' ? standing.outcome : { kind: 'Contended' }
}

function standingOfJob(
  timestamp: string | undefined,
  finishedOn: string | undefined,
  marked: boolean,
  now: number,
  windowMs: number,
): Standing {
  const finished = finishedOn !== undefined && finishedOn !== ''
  const remainingMs = Number(timestamp || finishedOn || 0) + windowMs - now
  if (finished && remainingMs <= 0) return { kind: 'Outlived' }
  return { kind: 'Existing', finished, marked, remainingMs: Math.max(1_000, Math.ceil(remainingMs)) }
}

/** Undefined when queued, else why BullMQ refuses it: it checks a job's options before anything is sent, with plain Errors. */
async function queueJob(queue: Queue, multi: Transaction, target: ForwardTarget, claim: Claim): Promise<string | undefined> {
  const { item, id } = claim
  try {
    await new Job(queue, target.jobName, dataOf(item), jobOptionsOf(target, item, id), id).addJob(multi)
    return undefined
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
}

async function removeJob(connection: RedisConnection, queue: Queue, claim: Claim): Promise<void> {
  try {
    await queue.remove(claim.id)
    // What BullMQ would not remove (a lock left behind) must not be taken for the job that is added now.
    await connection.del(claim.jobKey)
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

type Transaction = Parameters<Job['addJob']>[0] & { exec(): Promise<unknown> }

/** BullMQ wraps ioredis' own MULTI object and leaves its commands on it. */
function commanderOf(multi: unknown): ChainableCommander {
  return multi as ChainableCommander
}

async function execute(connection: RedisConnection, pipeline: ChainableCommander): Promise<unknown[]> {
  let replies: [Error | null, unknown][] | null
  try {
    replies = await pipeline.exec()
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
  const failed = replies?.find(([error]) => error !== null)
  if (replies === null || failed?.[0] != null) throw failureOn(connection, failed?.[0] ?? new Error('transaction discarded'))
  return replies.map(([, reply]) => reply)
}

async function release(connection: RedisConnection, locks: readonly string[], token: string): Promise<void> {
  try {
    await releaseLocks.run(connection, locks, [token])
  } catch (thrown) {
    // What went wrong before is what the caller must hear; a lock that stays expires by itself.
    if (!asFailure(thrown).retryable) throw thrown
  }
}
