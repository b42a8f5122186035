/**
 * The portable path's MULTI: BullMQ's own `job.addJob(multi)` for each key to be added, then a script that marks those whose job is
 * there. All of it is one step. A failed member does not stop the others of a MULTI. So a job that BullMQ's script left half-made,
 * or that got no mark, is withdrawn at once. Without a mark it might run, go, and be made again.
 */
import { Job, type Queue } from 'bullmq'
import type { ChainableCommander } from 'ioredis'
import { failure } from '../../../api/errors.ts'
import { clientOf } from '../../bullmq/clients.ts'
import { dataOf } from '../../bullmq/item.ts'
import { headOf, jobOptionsOf } from '../../bullmq/joboptions.ts'
import { failureOn, type RedisConnection } from '../../connect/connection.ts'
import { type ForwardTarget, queueKey } from '../../placement.ts'
import { guardJobs, markJobs } from '../../scripts/generated.ts'
import { list } from '../../scripts/reply.ts'
import { loadScripts } from '../../scripts/script.ts'
import { type Claim, type Standing, withoutWork } from './claims.ts'
import type { ForwardOutcome } from './forwarder.ts'
import { withdrawJob } from './removal.ts'

type Transaction = Parameters<Job['addJob']>[0] & { exec(): Promise<unknown> }

/** A claim that is being added, and the number of its command in the MULTI. */
interface Added {
  readonly claim: Claim
  readonly index: number
}

/**
 * Adds and marks. Throws catalogued errors, also where BullMQ's answer is not that the job was made.
 * @param isLate asked last, in one breath with sending: preparing takes time, and a process may be stopped in the middle of it
 */
export async function addJobs(
  connection: RedisConnection,
  queue: Queue,
  target: ForwardTarget,
  claims: readonly Claim[],
  standings: readonly Standing[],
  isLate: () => boolean,
): Promise<readonly ForwardOutcome[]> {
  const multi = (await clientOf(queue)).multi()
  const commander = commanderOf(multi)
  const outcomes: ForwardOutcome[] = []
  const added: Added[] = []
  const adding = claims.filter((_, index) => isWork(standings[index]))
  if (adding.length > 0) queueGuards(commander, target, adding)
  let commands = adding.length > 0 ? 1 : 0
  for (const [index, claim] of claims.entries()) {
    const standing = standings[index] ?? { kind: 'Fresh' }
    switch (standing.kind) {
      case 'Decided':
        outcomes[index] = standing.outcome
        break
      case 'Existing':
        outcomes[index] = { kind: 'Duplicate', jobId: claim.id }
        if (standing.marked) break
        commander.set(target.keys.mark(claim.item.hash), originOf(claim), 'PX', standing.remainingMs)
        commands += 1
        break
      case 'Fresh':
      case 'Outlived': {
        const error = await queueJob(queue, multi, target, claim)
        outcomes[index] = error === undefined ? { kind: 'Forwarded', jobId: claim.id } : { kind: 'Rejected', error }
        if (error === undefined) added.push({ claim, index: commands++ })
        break
      }
      default:
        standing satisfies never
    }
  }
  if (commands === (adding.length > 0 ? 1 : 0)) return outcomes
  if (adding.length > 0) queueMarks(commander, target, added, adding)
  if (isLate()) return standings.map(withoutWork)
  const replies = await send(connection, commander)
  try {
    const guarded = new Set(checkAdded(repliesOf(connection, replies), added, adding.length > 0))
    for (const [index, claim] of claims.entries()) if (guarded.has(claim)) outcomes[index] = { kind: 'Contended' }
    return outcomes
  } catch (thrown) {
    const isRefused = (at: number) => replies[at]?.[0] != null
    const unmarked = isRefused(replies.length - 1)
    const halfMade = added.filter(({ index }) => unmarked || isRefused(index))
    await Promise.all(halfMade.map(({ claim }) => withdrawJob(connection, queue, target, claim).catch(ignoreRemoval)))
    throw thrown
  }
}

const isWork = (standing: Standing = { kind: 'Fresh' }) => standing.kind === 'Fresh' || standing.kind === 'Outlived'

/** The next attempt finds what is left: a job in no list is removed then. */
function ignoreRemoval() {}

const originOf = ({ item }: Claim) => item.origin ?? 'direct'

function queueGuards(commander: ChainableCommander, { keys }: ForwardTarget, adding: readonly Claim[]): void {
  const marks = adding.map(({ item }) => keys.mark(item.hash))
  guardJobs(commander, { marks, jobs: adding.map(({ jobKey }) => jobKey) })
}

function queueMarks(
  commander: ChainableCommander,
  target: ForwardTarget,
  added: readonly Added[],
  adding: readonly Claim[],
): void {
  const marks = added.map(({ claim }) => target.keys.mark(claim.item.hash))
  const jobs = added.map(({ claim }) => claim.jobKey)
  const origins = added.map(({ claim }) => originOf(claim))
  const { windowMs, requestCopy = false } = target
  const guards = adding.map(({ jobKey }) => jobKey)
  markJobs(commander, { marks, jobs, guards, queue: queueKey(target) }, { windowMs, requestCopy, origins })
}

/** The claims that were guarded, and so not added. */
function checkAdded(replies: readonly unknown[], added: readonly Added[], marked: boolean): readonly Claim[] {
  const made = marked ? list(list(replies.at(-1), 'markJobs')[0], 'markJobs') : []
  const guarded = added.filter((_, order) => made[order] === 2).map(({ claim }) => claim)
  for (const [order, { claim, index }] of added.entries()) {
    if (made[order] === 2 || (replies[index] === claim.id && made[order] === 1)) continue
    const detail = `job ${claim.id} was answered with ${String(replies[index])}`
    throw failure('RedisCommandFailed', { command: 'add', detail })
  }
  return guarded
}

/** Undefined when queued, else why BullMQ refuses it: it checks a job's options before anything is sent, with plain Errors. */
async function queueJob(queue: Queue, multi: Transaction, target: ForwardTarget, claim: Claim): Promise<string | undefined> {
  const { item, id } = claim
  try {
    const { name, timestamp } = headOf(target, item, Date.now())
    const job = new Job(queue, name, dataOf(item), jobOptionsOf(target, item, id), id)
    job.timestamp = timestamp
    await job.addJob(multi)
    return undefined
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
}

/** BullMQ wraps ioredis' own MULTI object and leaves its commands on it. */
function commanderOf(multi: unknown): ChainableCommander {
  return multi as ChainableCommander
}

/**
 * Checks, before anything is added, that the server accepts the commands of this way. ioredis sends SCRIPT where a server forgot a
 * script. A MULTI that is refused half-way would leave the batch to be tried again for ever. Throws catalogued errors.
 * @param key of the queue
 */
export async function checkTransactions(connection: RedisConnection, key: string): Promise<void> {
  await loadScripts(connection, ['return 1'])
  await execute(connection, connection.multi().exists(key))
}

async function execute(connection: RedisConnection, pipeline: ChainableCommander): Promise<readonly unknown[]> {
  return repliesOf(connection, await send(connection, pipeline))
}

type Reply = readonly [Error | null, unknown]

async function send(connection: RedisConnection, pipeline: ChainableCommander): Promise<readonly Reply[]> {
  let replies: readonly Reply[] | null
  try {
    replies = await pipeline.exec()
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
  if (replies === null) throw failureOn(connection, new Error('transaction discarded'))
  return replies
}

/** Throws the first refusal. */
function repliesOf(connection: RedisConnection, replies: readonly Reply[]): readonly unknown[] {
  const failed = replies.find(([error]) => error !== null)
  if (failed?.[0] != null) throw failureOn(connection, failed[0])
  return replies.map(([, reply]) => reply)
}
