/**
 * What happens to a batch: decode, forward, then acknowledge and bury in one step. A batch that meets a Redis which is away is
 * tried again, as often as it takes, with everything still in memory; only draining ends that, and then its entries stay
 * pending and are handed back. Trying again after an unknown outcome is safe: what was forwarded has its mark.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { asFailure } from '../api/errors.ts'
import type { RedisConnection } from '../redis/connection.ts'
import type { DeadLetterReason } from '../redis/deadletters.ts'
import type { Forwarder, ForwardItem } from '../redis/forward/forwarder.ts'
import type { Codec } from '../redis/payload/codec.ts'
import type { Delivery } from '../redis/stream/pending.ts'
import { type Burial, type StreamPlace, settleEntries } from '../redis/stream/settlement.ts'
import type { HeldEntries } from './held.ts'
import type { Lifecycle } from './lifecycle.ts'
import { isReady } from './states.ts'

export type SettledOutcome = 'forwarded' | 'duplicate' | 'dead' | 'gone'

/** What became of a batch; the sums go to metrics, log and heartbeat. */
export interface BatchReport {
  readonly entries: number
  readonly outcomes: Readonly<Record<SettledOutcome, number>>
  readonly dead: readonly { readonly id: string; readonly reason: DeadLetterReason; readonly error: string }[]
  readonly durationMs: number
}

export interface SettlerParts {
  readonly place: StreamPlace
  readonly connection: RedisConnection
  readonly forwarder: Forwarder
  readonly codec: Codec
  readonly held: HeldEntries
  readonly lifecycle: Lifecycle
  readonly clock: () => number
  readonly random: () => number
  readonly report: (batch: BatchReport) => void
}

export interface Settler {
  /** Settles a batch that is in `held`. Resolves when all is settled, or when draining leaves the rest pending. */
  settle(batch: readonly Delivery[]): Promise<void>
  /** Asks the queue how much waits, for the state. */
  observeQueue(): Promise<void>
}

/** Pause before a key that somebody else is forwarding is asked for again. */
const contendedPauseMs = 200

export function createSettler(parts: SettlerParts): Settler {
  const { place, connection, forwarder, codec, held, lifecycle } = parts

  /** One attempt; returns the entries that must be tried again. */
  const attempt = async (batch: readonly Delivery[], begun: number): Promise<readonly Delivery[]> => {
    const work: { delivery: Delivery; item: ForwardItem; redrives: number }[] = []
    const burials: Burial[] = []
    for (const delivery of batch) {
      const { id } = delivery
      const decoded = codec.decode(delivery.fields)
      if (decoded.kind === 'Invalid') {
        burials.push({ id, reason: decoded.reason, error: decoded.error, redrives: decoded.redrives })
      } else {
        const { hash, data, trace, redrives } = decoded
        work.push({ delivery, item: { hash, data, trace, origin: id }, redrives })
      }
    }
    const outcomes = work.length === 0 ? [] : await forwarder.forward(work.map(({ item }) => item))
    const acknowledged: string[] = []
    const again: Delivery[] = []
    const counts = { forwarded: 0, duplicate: 0, dead: 0, gone: 0 }
    for (const [index, { delivery, item, redrives }] of work.entries()) {
      const outcome = outcomes[index]
      switch (outcome?.kind) {
        case 'Forwarded':
          counts.forwarded += 1
          acknowledged.push(delivery.id)
          break
        case 'Duplicate':
          counts.duplicate += 1
          acknowledged.push(delivery.id)
          break
        case 'Rejected':
          burials.push({ id: delivery.id, reason: 'SinkRejected', error: outcome.error, hash: item.hash, redrives })
          break
        case 'Contended':
        case undefined:
          again.push(delivery)
          break
        default:
          outcome satisfies never
      }
    }
    const result = await settleEntries(connection, place, acknowledged, burials)
    for (const burial of result.burials) counts[burial] += 1
    const done = new Set([...acknowledged, ...burials.map(({ id }) => id)])
    held.remove([...done])
    parts.report({
      entries: done.size,
      outcomes: counts,
      dead: burials.filter((_, index) => result.burials[index] === 'dead'),
      durationMs: parts.clock() - begun,
    })
    return again
  }

  const observeQueue = async () => {
    try {
      lifecycle.dispatch({ kind: 'BatchSettled', waiting: await forwarder.waiting() })
    } catch (thrown) {
      lifecycle.backendFailed(asFailure(thrown))
    }
  }

  const settle = async (batch: readonly Delivery[]) => {
    const begun = parts.clock()
    let rest = batch
    while (rest.length > 0) {
      const failure = await attempt(rest, begun).then(
        (again) => {
          rest = again
          return undefined
        },
        (thrown: unknown) => asFailure(thrown),
      )
      if (failure !== undefined) {
        lifecycle.backendFailed(failure)
        await lifecycle.until((state) => isReady(state) || state.kind === 'Draining' || state.kind === 'Stopped')
      } else if (rest.length > 0) {
        await sleep(contendedPauseMs * (0.5 + parts.random()), undefined, { ref: false })
      }
      if (rest.length > 0 && givesUp(lifecycle, failure !== undefined, parts.clock())) {
        // Left pending under our name: draining hands it back.
        held.remove(rest.map(({ id }) => id))
        return
      }
    }
    await observeQueue()
  }

  return { settle, observeQueue }
}

/** While draining a failed batch is not tried again, a contended one until the deadline. */
function givesUp(lifecycle: Lifecycle, failed: boolean, now: number): boolean {
  const { state } = lifecycle
  return state.kind === 'Stopped' || (state.kind === 'Draining' && (failed || now >= state.deadline))
}
