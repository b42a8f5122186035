/**
 * The portable path: only BullMQ's public interface, so it works with any BullMQ and any placement of the queue. Per batch, on
 * the queue's Redis:
 *
 * 1. one pipeline: `SET lock token NX PX`, then `GET mark`, for each key. Lock before mark: what the holder before us wrote
 *    is then visible to us;
 * 2. one MULTI: `job.addJob(multi)` and the mark, for each key that is locked and unmarked. The mark is set by a script that
 *    sees the job's hash in the same transaction: a failed member does not stop the others of a MULTI, and a mark without its
 *    job would swallow the entry;
 * 3. locks released, each only while it still holds our token.
 *
 * A crash anywhere leaves at most locks, which expire. Exactly-once ends where a forwarder stalls for longer than the lock's
 * life between 1 and 2 *and* the job of the other one is already finished and removed: then a second job is made. The check of
 * the elapsed time before 2 narrows that window to the flight of one command.
 */
import { randomUUID } from 'node:crypto'
import { Job, type Queue } from 'bullmq'
import type { ChainableCommander } from 'ioredis'
import { asFailure, failure } from '../../api/errors.ts'
import { failureOn, type RedisConnection } from '../connection.ts'
import { jobId } from '../keys.ts'
import { replyCode } from '../replies.ts'
import { defineScript, loadScripts } from '../script.ts'
import { type BullQueue, jobOptionsOf, openBullQueue } from './bullqueue.ts'
import type { Forwarder, ForwardItem, ForwardOutcome, ForwardTarget } from './forwarder.ts'

const markJob = defineScript(
  'markJob',
  `if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`,
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
  /** No mark, but a job of this key exists: it stands for the mark, which is written anew for what is left of the window. */
  | { readonly kind: 'Existing'; readonly remainingMs: number }
  /** No mark, and a finished job older than the window: retained only by removeOnComplete or removeOnFail; it makes way. */
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
    const pipeline = connection.pipeline()
    for (const { item, jobKey } of claims) {
      pipeline.set(keys.lock(item.hash), token, 'PX', target.lockTtlMs, 'NX')
      pipeline.get(keys.mark(item.hash))
      pipeline.hmget(jobKey, 'timestamp', 'finishedOn')
    }
    pipeline.time()
    pipeline.llen(`${queueKey}:wait`)
    pipeline.zcard(`${queueKey}:prioritized`)
    const replies = await execute(connection, pipeline)
    const [time, wait, prioritized] = replies.slice(-3)
    const now = serverMs(time)
    const standings = claims.map(({ id }, index): Standing => {
      const [locked, mark, job] = replies.slice(index * 3, index * 3 + 3)
      if (mark !== null) return { kind: 'Decided', outcome: { kind: 'Duplicate', jobId: id } }
      if (locked !== 'OK') return { kind: 'Decided', outcome: { kind: 'Contended' } }
      return standingOfJob(job, now, target.windowMs)
    })
    return { standings, waiting: Number(wait) + Number(prioritized) }
  }

  const add = async (claims: readonly Claim[], standings: readonly Standing[]): Promise<ForwardOutcome[]> => {
    const opened = await openQueue()
    for (const [index, claim] of claims.entries()) {
      if (standings[index]?.kind === 'Outlived') await removeJob(connection, opened, claim.id)
    }
    const multi = (await opened.getBackend().client).multi()
    const commander = commanderOf(multi)
    const outcomes: ForwardOutcome[] = []
    const answers: { id: string; index: number }[] = []
    let commands = 0
    for (const [index, claim] of claims.entries()) {
      const standing = standings[index] ?? { kind: 'Fresh' }
      const mark = keys.mark(claim.item.hash)
      switch (standing.kind) {
        case 'Decided':
          outcomes[index] = standing.outcome
          break
        case 'Existing':
          commander.set(mark, claim.item.origin ?? 'direct', 'PX', standing.remainingMs)
          commands += 1
          outcomes[index] = { kind: 'Duplicate', jobId: claim.id }
          break
        case 'Fresh':
        case 'Outlived': {
          const refused = await queueJob(opened, multi, target, claim)
          if (refused !== undefined) {
            outcomes[index] = { kind: 'Rejected', error: refused }
            break
          }
          markJob.queue(commander, connection, [mark, claim.jobKey], [claim.item.origin ?? 'direct', target.windowMs])
          answers.push({ id: claim.id, index: commands })
          commands += 2
          outcomes[index] = { kind: 'Forwarded', jobId: claim.id }
          break
        }
        default:
          standing satisfies never
      }
    }
    if (commands === 0) return outcomes
    const replies = await execute(connection, commander)
    for (const { id, index } of answers) {
      if (replies[index] !== id || replies[index + 1] !== 1) {
        throw failure('RedisCommandFailed', { command: 'add', detail: `job ${id} was answered with ${String(replies[index])}` })
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
      const late = clock() - begun > target.lockTtlMs / 2
      const outcomes = late ? standings.map(withoutWork) : await add(claims, standings)
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
        await loadScripts(connection, [...texts, markJob.lua])
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

function standingOfJob(reply: unknown, now: number, windowMs: number): Standing {
  const [timestamp, finishedOn] = Array.isArray(reply) ? reply : []
  if (typeof timestamp !== 'string') return { kind: 'Fresh' }
  const remainingMs = Number(timestamp) + windowMs - now
  if (typeof finishedOn === 'string' && remainingMs <= 0) return { kind: 'Outlived' }
  return { kind: 'Existing', remainingMs: Math.max(1_000, Math.ceil(remainingMs)) }
}

/** Undefined when queued, else why BullMQ refuses it: it checks a job's options before anything is sent, with plain Errors. */
async function queueJob(queue: Queue, multi: Transaction, target: ForwardTarget, claim: Claim): Promise<string | undefined> {
  const { item, id } = claim
  try {
    await new Job(queue, target.jobName, item.data, jobOptionsOf(target, item, id), id).addJob(multi)
    return undefined
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
}

async function removeJob(connection: RedisConnection, queue: Queue, id: string): Promise<void> {
  try {
    await queue.remove(id)
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

/** TIME replies seconds and microseconds. */
function serverMs(reply: unknown): number {
  const [seconds, micros] = Array.isArray(reply) ? reply : []
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}
