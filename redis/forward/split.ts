/**
 * The composed forwarder: mark, existing job, add and mark of a whole batch in one script on the queue's Redis. It is the
 * queue's half of the split path, and what Direct dispatch runs, so that both modes may be live during a flip.
 *
 * `WAIT` follows where the server has replicas: the stream's acknowledgement must not outlive a job and its mark that a failover
 * of the queue's Redis rolled back. Co-located pipelines have no such window: job, mark and acknowledgement share one offset.
 */
import { failure } from '../../api/errors.ts'
import type { RedisConnection } from '../connection.ts'
import { jobId } from '../keys.ts'
import { defineScript, type Script, type ScriptArgument } from '../script.ts'
import { type BullQueue, jobOptionsOf, recordAdd } from './bullqueue.ts'
import { addScriptFor, queueScript } from './composition.ts'
import type { Forwarder, ForwardItem, ForwardOutcome, ForwardTarget } from './forwarder.ts'
import { packArguments } from './packing.ts'
import { confirmReplicas } from './replication.ts'

/** @param fixed a job timestamp for all jobs, milliseconds; for comparing with what BullMQ writes */
export function createSplitForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  bull: BullQueue,
  fixed: { readonly timestamp?: number } = {},
): Forwarder {
  const { keys } = target
  const queueKey = `${target.prefix}:${target.queue}:`
  const add = addScriptFor(target.jobOptions)
  const script = defineScript('forwardJobs', queueScript(bull.scripts, add))

  const forward = async (items: readonly ForwardItem[]) => {
    const composed = await composeCall(bull, target, items, fixed)
    if (composed.marks.length === 0) return { outcomes: composed.refusals as ForwardOutcome[], waiting: await waitingOn(script) }
    const reply = await script.run(
      connection,
      [...composed.addKeys, ...composed.marks],
      [queueKey, target.windowMs, composed.addKeys.length, packArguments(composed.args)],
    )
    const [waiting, ...answers] = Array.isArray(reply) ? reply : []
    await confirmReplicas(connection, queueKey)
    let next = 0
    const outcomes = items.map(
      (item, index): ForwardOutcome => composed.refusals[index] ?? answered(keys.scope, item, answers[next++]),
    )
    return { outcomes, waiting: Number(waiting) }
  }

  const waitingOn = async (counting: Script) => {
    const reply = await counting.run(connection, [`${queueKey}wait`], [queueKey, target.windowMs, 1])
    return Number(Array.isArray(reply) ? reply[0] : 0)
  }

  return { kind: 'Split', forward, waiting: async () => await waitingOn(script), close: bull.close }
}

function answered(scope: string, item: ForwardItem, answer: unknown): ForwardOutcome {
  const id = jobId(scope, item.hash)
  if (answer === 'forwarded') return { kind: 'Forwarded', jobId: id }
  if (answer === 'duplicate') return { kind: 'Duplicate', jobId: id }
  return { kind: 'Rejected', error: String(answer).replace(/^rejected:/, '') }
}

interface ComposedCall {
  /** Keys of BullMQ's add, the same for every item. */
  readonly addKeys: readonly string[]
  /** Marks of the items that BullMQ accepts, in order. */
  readonly marks: readonly string[]
  /** Five per accepted item: job id, origin, and the add's three. */
  readonly args: readonly ScriptArgument[]
  /** By index of the item: why BullMQ refuses it. */
  readonly refusals: readonly (ForwardOutcome | undefined)[]
}

/** Lets BullMQ prepare each add, and arranges keys and arguments for one script. */
export async function composeCall(
  bull: BullQueue,
  target: ForwardTarget,
  items: readonly ForwardItem[],
  fixed: { readonly timestamp?: number } = {},
): Promise<ComposedCall> {
  const { keys } = target
  const expected = addScriptFor(target.jobOptions)
  const keyCount = bull.scripts.get(expected)?.keys ?? 0
  let addKeys: readonly string[] = []
  const marks: string[] = []
  const args: ScriptArgument[] = []
  const refusals: (ForwardOutcome | undefined)[] = []
  for (const item of items) {
    const id = jobId(keys.scope, item.hash)
    const call = await recordAdd(bull.queue, target.jobName, item.data, { ...jobOptionsOf(target, item, id), ...fixed })
    if (typeof call === 'string') {
      refusals.push({ kind: 'Rejected', error: call })
      continue
    }
    if (call.script !== expected) throw failure('Internal', { detail: `BullMQ adds with ${call.script}, not ${expected}` })
    addKeys = call.args.slice(0, keyCount).map(String)
    marks.push(keys.mark(item.hash))
    args.push(id, item.origin ?? 'direct', ...call.args.slice(keyCount))
    refusals.push(undefined)
  }
  return { addKeys, marks, args, refusals }
}
