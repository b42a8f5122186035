/**
 * The composed forwarder: mark, existing job, add and mark of a whole batch in one script on the queue's Redis. It is the
 * queue's half of the split path, and what Direct dispatch runs, so that both modes may be live during a flip.
 *
 * `WAIT` follows where the server has replicas: the stream's acknowledgement must not outlive a job and its mark that a failover
 * of the queue's Redis rolled back. Co-located pipelines have no such window: job, mark and acknowledgement share one offset.
 */

import { addScriptFor, queueScript } from '../../bullmq/addscript.ts'
import { createJobComposer } from '../../bullmq/encoder/composer.ts'
import type { ForwardItem } from '../../bullmq/item.ts'
import type { BullQueue } from '../../bullmq/queue.ts'
import type { RedisConnection } from '../../connect/connection.ts'
import { jobId } from '../../keys.ts'
import type { ForwardTarget } from '../../placement.ts'
import { createPacker } from '../../scripts/packer.ts'
import { defineScript, type Script } from '../../scripts/script.ts'
import type { Forwarder, ForwardOutcome } from './forwarder.ts'
import { confirmReplicas } from './replication.ts'

/** @param clock a job's time, milliseconds since 1970 */
export function createSplitForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  bull: BullQueue,
  clock?: () => number,
): Forwarder {
  const { keys } = target
  const queueKey = `${target.prefix}:${target.queue}:`
  const add = addScriptFor(target.jobOptions)
  const script = defineScript('forwardJobs', queueScript(bull.scripts, add))
  const composer = createJobComposer(bull, target, clock)

  const forward = async (items: readonly ForwardItem[]) => {
    const calls = await composer.compose(items)
    const packer = createPacker(256 * items.length)
    const marks: string[] = []
    const data: (string | Buffer)[] = []
    for (const [index, { hash, origin = 'direct' }] of items.entries()) {
      const call = calls[index]
      if (call?.kind !== 'Add') continue
      marks.push(keys.mark(hash))
      data.push(call.data)
      packer.text(jobId(keys.scope, hash))
      packer.text(origin)
      packer.joined(call.args)
      packer.joined(call.options)
    }
    const reply =
      marks.length === 0
        ? [await waitingOn(script)]
        : await script.run(
            connection,
            [...composer.keys, ...marks],
            [queueKey, target.windowMs, composer.keys.length, packer.finish(), ...data],
          )
    const [waiting, ...answers] = Array.isArray(reply) ? reply : []
    if (marks.length > 0) await confirmReplicas(connection, queueKey)
    let next = 0
    const outcomes = items.map((item, index): ForwardOutcome => {
      const call = calls[index]
      return call?.kind === 'Refused' ? { kind: 'Rejected', error: call.error } : answered(keys.scope, item, answers[next++])
    })
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
