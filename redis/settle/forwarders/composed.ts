/**
 * The composed forwarder: mark, existing job, add and mark of a whole batch in one script on the queue's Redis. It is the
 * queue's half of the split path, and what Direct dispatch runs, so that both modes may be live during a flip.
 *
 * `WAIT` follows where the server has replicas: the stream's acknowledgement must not outlive a job and its mark that a failover
 * of the queue's Redis rolled back. Co-located pipelines have no such window: job, mark and acknowledgement share one offset.
 */
import { createJobComposer, type JobCall } from '../../bullmq/encoder/composer.ts'
import type { ForwardItem } from '../../bullmq/item.ts'
import type { BullQueue } from '../../bullmq/queue.ts'
import type { RedisConnection } from '../../connect/connection.ts'
import { jobId } from '../../keys.ts'
import { type ForwardTarget, queueKey } from '../../placement.ts'
import { type ForwardJobsArguments, forwardJobsWith } from '../../scripts/generated.ts'
import type { Forwarder, ForwardOutcome } from './forwarder.ts'
import { confirmReplicas } from './replication.ts'

/** @param clock a job's time, milliseconds since 1970 */
export function createComposedForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  bull: BullQueue,
  clock?: () => number,
): Forwarder {
  const { keys, windowMs, requestCopy = false } = target
  const queue = queueKey(target)
  const script = forwardJobsWith(bull.textsFor(target.jobOptions))
  const composer = createJobComposer(bull, target, clock)

  /** Keeps nothing of the calls: they need not outlive the sending. */
  const send = (items: readonly ForwardItem[], calls: readonly JobCall[]) => {
    const contents = contentsOf(keys.scope, items, calls)
    const marks = items.flatMap(({ hash }, index) => (calls[index]?.kind === 'Add' ? [keys.mark(hash)] : []))
    return script(connection, { addKeys: composer.keys, marks }, { queue, windowMs, requestCopy, ...contents })
  }

  const waiting = async () => {
    const nothing = { queue, windowMs, requestCopy, items: [], data: [] }
    return (await script(connection, { addKeys: [`${queue}wait`], marks: [] }, nothing)).waiting
  }

  return {
    kind: 'Split',
    async forward(items) {
      const calls = await composer.compose(items)
      const refusals = calls.map((call) => (call.kind === 'Refused' ? call.error : undefined))
      if (refusals.every((error) => error !== undefined)) {
        return { outcomes: refusals.map((error) => ({ kind: 'Rejected', error })), waiting: await waiting() }
      }
      const reply = await send(items, calls)
      await confirmReplicas(connection, queue)
      let next = 0
      const outcomes = items.map(({ hash }, index): ForwardOutcome => {
        const error = refusals[index]
        if (error !== undefined) return { kind: 'Rejected', error }
        return answered(jobId(keys.scope, hash), reply.outcomes[next++] ?? '')
      })
      return { outcomes, waiting: reply.waiting }
    },
    waiting,
    close: bull.close,
  }
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

function answered(id: string, answer: string): ForwardOutcome {
  if (answer === 'forwarded') return { kind: 'Forwarded', jobId: id }
  if (answer === 'duplicate') return { kind: 'Duplicate', jobId: id }
  return { kind: 'Rejected', error: answer.replace(/^rejected:/, '') }
}
