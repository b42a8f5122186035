/**
 * The composed forwarder: mark, existing job, add and mark of a whole batch in one script on the queue's Redis. It is the
 * queue's half of the split path, and what Direct dispatch runs, so that both modes may be live during a flip.
 *
 * `WAIT` follows where the server has replicas: the stream's acknowledgement must not outlive a job and its mark that a failover
 * of the queue's Redis rolled back. Co-located pipelines have no such window: job, mark and acknowledgement share one offset.
 */

import { asFailure } from '../../../api/errors.ts'
import { createJobComposer, type JobCall } from '../../bullmq/encoder/composer.ts'
import type { ForwardItem } from '../../bullmq/item.ts'
import type { BullQueue } from '../../bullmq/queue.ts'
import { type AddWay, byBullText } from '../../bullmq/specialisedadd.ts'
import { type RedisConnection, rejectionOn } from '../../connect/connection.ts'
import { jobId } from '../../keys.ts'
import { type ForwardTarget, queueKey } from '../../placement.ts'
import { type ForwardJobsArguments, forwardJobsWith } from '../../scripts/generated.ts'
import { piecesOf } from '../pieces.ts'
import { createConfirming } from './confirming.ts'
import type { Forwarded, Forwarder, ForwardOutcome } from './forwarder.ts'
import type { Confirmation } from './replication.ts'

/** @param clock a job's time, milliseconds since 1970 */
export function createComposedForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  bull: BullQueue,
  confirmation: Confirmation,
  way: AddWay,
  clock?: () => number,
): Forwarder {
  const { keys, windowMs, requestCopy = false } = target
  const queue = queueKey(target)
  const script = forwardJobsWith(bull.textsFor(target.jobOptions, way))
  const composer = createJobComposer(bull, target, way, clock)
  const confirmed = createConfirming(confirmation)

  /** Keeps nothing of the calls: they need not outlive the sending. */
  const send = (items: readonly ForwardItem[], { calls, job }: Awaited<ReturnType<typeof composer.compose>>) => {
    const contents = contentsOf(keys.scope, items, calls)
    const marks = items.flatMap(({ hash }, index) => (calls[index]?.kind === 'Add' ? [keys.mark(hash)] : []))
    return script(connection, { addKeys: composer.keys, marks }, { queue, windowMs, requestCopy, job, ...contents })
  }

  const waiting = async () => {
    const nothing = { queue, windowMs, requestCopy, job: byBullText, items: [], data: [] }
    return (await script(connection, { addKeys: [`${queue}wait`], marks: [] }, nothing)).waiting
  }

  const forwardPiece = async (items: readonly ForwardItem[]): Promise<Forwarded> => {
    const composed = await composer.compose(items)
    const refusals = composed.calls.map((call) => (call.kind === 'Refused' ? call.error : undefined))
    if (refusals.every((error) => error !== undefined)) {
      return { outcomes: refusals.map((error) => ({ kind: 'Rejected', error })), waiting: await waiting() }
    }
    const reply = await send(items, composed)
    let next = 0
    const outcomes = items.map(({ hash }, index): ForwardOutcome => {
      const error = refusals[index]
      if (error !== undefined) return { kind: 'Rejected', error }
      return answered(connection, jobId(keys.scope, hash), reply.outcomes[next++] ?? '')
    })
    return { outcomes, waiting: reply.waiting }
  }

  return {
    kind: 'Split',
    async forward(items) {
      const { outcomes, waiting: count } = await inPieces(items, forwardPiece)
      return { outcomes: await confirmed(items, outcomes), waiting: count }
    },
    waiting,
    close: bull.close,
  }
}

/** All are sent at once, and all have ended before a failure of one is returned. Throws when every piece failed. */
async function inPieces(
  items: readonly ForwardItem[],
  forward: (piece: readonly ForwardItem[]) => Promise<Forwarded>,
): Promise<Forwarded> {
  const pieces = piecesOf(items)
  const results = await Promise.allSettled(pieces.map(forward))
  const outcomes: ForwardOutcome[] = []
  let waiting = 0
  let failures = 0
  for (const [index, result] of results.entries()) {
    if (result.status === 'fulfilled') {
      outcomes.push(...result.value.outcomes)
      waiting = result.value.waiting
    } else {
      failures += 1
      const failure = asFailure(result.reason)
      if (failures === pieces.length) throw failure
      outcomes.push(...(pieces[index] ?? []).map(() => ({ kind: 'Failed', failure }) as const))
    }
  }
  return { outcomes, waiting }
}

function contentsOf(
  scope: string,
  items: readonly ForwardItem[],
  calls: readonly JobCall[],
): Pick<ForwardJobsArguments, 'items' | 'data'> {
  const rows: ForwardJobsArguments['items'][number][] = []
  const data: (string | Buffer)[] = []
  for (const [index, { hash, origin = 'direct' }] of items.entries()) {
    const call = calls[index]
    if (call?.kind !== 'Add') continue
    rows.push({ jobId: jobId(scope, hash), origin, add: call.args, options: call.options })
    data.push(call.data)
  }
  return { items: rows, data }
}

function answered(connection: RedisConnection, id: string, answer: string): ForwardOutcome {
  if (answer.startsWith('refused:')) return { kind: 'Failed', failure: rejectionOn(connection, answer.slice('refused:'.length)) }
  if (answer === 'forwarded') return { kind: 'Forwarded', jobId: id }
  if (answer === 'duplicate') return { kind: 'Duplicate', jobId: id }
  return { kind: 'Rejected', error: answer.replace(/^rejected:/, '') }
}
