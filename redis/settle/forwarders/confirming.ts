/**
 * Outcomes that count once a replica has confirmed them. A batch whose confirmation failed is tried again, and then finds its own
 * marks. So the entries forwarded at first are remembered, or they would be reported as duplicates.
 */
import type { ForwardItem } from '../../bullmq/item.ts'
import type { ForwardOutcome } from './forwarder.ts'
import type { Confirmation } from './replication.ts'

/**
 * Items beyond these are forgotten, the oldest first, since an item that is never tried again would stay. A count of duplicates may
 * then be wrong.
 */
const maxRemembered = 10_000

/** The outcomes, once confirmed. Throws as `Confirmation.confirm`. */
type Confirming = (items: readonly ForwardItem[], outcomes: readonly ForwardOutcome[]) => Promise<readonly ForwardOutcome[]>

export function createConfirming({ confirm }: Confirmation): Confirming {
  const remembered = new Set<string>()

  return async (items, found) => {
    const outcomes = found.map((outcome, index): ForwardOutcome => {
      const ours = outcome.kind === 'Duplicate' && remembered.delete(nameOf(items[index]))
      return ours ? { kind: 'Forwarded', jobId: outcome.jobId } : outcome
    })
    if (!outcomes.some(({ kind }) => kind === 'Forwarded' || kind === 'Duplicate')) return outcomes
    try {
      await confirm()
    } catch (thrown) {
      for (const [index, { kind }] of outcomes.entries()) if (kind === 'Forwarded') remembered.add(nameOf(items[index]))
      for (const name of remembered) {
        if (remembered.size <= maxRemembered) break
        remembered.delete(name)
      }
      throw thrown
    }
    return outcomes
  }
}

/** Of this very entry: another one with the same key is a duplicate. */
const nameOf = (item: ForwardItem | undefined) => `${item?.hash ?? ''} ${item?.origin ?? 'direct'}`
