/**
 * The adding half of Direct mode: the forwarder that consumers use, without a stream. Job id, mark and lock are the same. So both
 * modes may run at once during a flip, and each key still makes one job.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '../api/errors.ts'
import type { ForwardItem } from '../redis/bullmq/item.ts'
import type { Forwarder } from '../redis/settle/forwarders/forwarder.ts'

interface DirectOutcome {
  readonly jobId: string
  /** `duplicate`: a job of this key was made within the window before. */
  readonly outcome: 'forwarded' | 'duplicate'
}

/** Bound of one step: it holds Redis while it runs. */
const chunkItems = 100
/** Pause before a key that another forwarder holds is asked for again. */
const contendedPauseMs = 25

/**
 * One outcome per item, in order. A key that another forwarder holds is asked for again until the signal aborts, then
 * DispatchContended. Throws PayloadRejected for a job that BullMQ refuses, and catalogued Redis errors.
 */
export async function addDirectly(
  forwarder: Forwarder,
  items: readonly ForwardItem[],
  signal: AbortSignal,
): Promise<readonly DirectOutcome[]> {
  const done: DirectOutcome[] = []
  for (let at = 0; at < items.length; at += chunkItems)
    done.push(...(await settle(forwarder, items.slice(at, at + chunkItems), signal)))
  return done
}

async function settle(forwarder: Forwarder, items: readonly ForwardItem[], signal: AbortSignal): Promise<DirectOutcome[]> {
  const settled = new Map<ForwardItem, DirectOutcome>()
  let rest = items
  for (;;) {
    const { outcomes } = await forwarder.forward(rest)
    const again: ForwardItem[] = []
    for (const [index, item] of rest.entries()) {
      const outcome = outcomes[index]
      switch (outcome?.kind) {
        case 'Forwarded':
          settled.set(item, { jobId: outcome.jobId, outcome: 'forwarded' })
          break
        case 'Duplicate':
          settled.set(item, { jobId: outcome.jobId, outcome: 'duplicate' })
          break
        case 'Rejected':
          throw failure('PayloadRejected', { detail: `BullMQ refuses the job: ${outcome.error}` })
        case 'Failed':
          throw outcome.failure
        case 'Contended':
        case undefined:
          again.push(item)
          break
        default:
          outcome satisfies never
      }
    }
    if (again.length === 0) return items.flatMap((item) => settled.get(item) ?? [])
    if (signal.aborted) throw failure('DispatchContended', { key: again[0]?.hash ?? '' })
    rest = again
    await sleep(contendedPauseMs)
  }
}
