/**
 * The way of a batch: decode, then settle by the path chosen at start. A batch that meets a Redis outage stays in memory, and is
 * tried again until it succeeds. Only draining ends that. Its entries then stay pending and are handed back. Trying again after an
 * unknown outcome is safe: what was forwarded has its mark.
 */

import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import { jsonOf } from '../redis/bullmq/item.ts'
import type { Codec } from '../redis/payload/codec.ts'
import type { DeadLetterReason } from '../redis/record.ts'
import type { Disposition, SettlePath } from '../redis/settle/path.ts'
import type { Delivery } from '../redis/stream/pending.ts'
import { backendFailure, guarded } from './backendfailure.ts'
import type { HeldEntries } from './held.ts'
import type { Lifecycle } from './lifecycle.ts'
import { isReady } from './states.ts'

export type SettledOutcome = 'forwarded' | 'duplicate' | 'dead' | 'gone'

interface DeadReport {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly error: string
}

/** The outcomes of a batch; the sums go to metrics, log and heartbeat. */
export interface BatchReport {
  readonly entries: number
  readonly outcomes: Readonly<Record<SettledOutcome, number>>
  readonly dead: readonly DeadReport[]
  /** Ids of the entries that `entries` counts. */
  readonly settled: readonly string[]
  readonly durationMs: number
  /** Entries that stay pending, since the dead-letter stream is full. */
  readonly withheld?: number
}

interface SettlerParts {
  /** The way chosen at start. */
  readonly path: () => SettlePath
  readonly codec: Codec
  readonly held: HeldEntries
  readonly lifecycle: Lifecycle
  readonly clock: Pick<Clock, 'now' | 'random' | 'after'>
  readonly report: (batch: BatchReport) => void
}

interface Settler {
  /** Settles a batch that is in `held`. Resolves when all is settled, or when draining leaves the rest pending. */
  settle(batch: readonly Delivery[]): Promise<void>
  /** Asks the queue how much waits, for the state. */
  observeQueue(): Promise<void>
}

/** Pause before a key that another forwarder holds is asked for again. */
const contendedPauseMs = 200
/** A drain goes on with contended entries until its deadline. */
const never = new AbortController().signal

export function createSettler(parts: SettlerParts): Settler {
  const { codec, held, lifecycle } = parts

  const judge = ({ id, fields }: Delivery): Disposition => {
    const decoded = codec.decode(fields)
    const { redrives } = decoded
    if (decoded.kind === 'Invalid') return { kind: 'DeadLetter', id, reason: decoded.reason, error: decoded.error, redrives }
    const { hash, data, trace, metadata, asked } = decoded
    const plain = { hash, json: jsonOf(data), trace, origin: id, redrives }
    if (metadata === undefined && asked === undefined) return { kind: 'Forward', id, item: plain, redrives }
    const beside = { ...(metadata === undefined ? {} : { metadata }), ...(asked === undefined ? {} : { asked }) }
    return { kind: 'Forward', id, item: { ...plain, ...beside }, redrives }
  }

  /** One attempt; returns the entries that must be tried again, and what kept them from being settled. */
  const attempt = async (batch: readonly Disposition[], begun: number) => {
    const { outcomes, waiting, failure } = await parts.path().settle(batch)
    const counts = { forwarded: 0, duplicate: 0, dead: 0, gone: 0 }
    const dead: DeadReport[] = []
    const again: Disposition[] = []
    const done: string[] = []
    for (const [index, verdict] of batch.entries()) {
      const outcome = outcomes[index] ?? { kind: 'contended' }
      if (outcome.kind === 'contended' || outcome.kind === 'unsettled') {
        again.push(verdict)
        continue
      }
      counts[outcome.kind] += 1
      if (outcome.kind === 'dead') dead.push({ id: verdict.id, reason: outcome.reason, error: outcome.error })
      done.push(verdict.id)
    }
    held.remove(done)
    parts.report({ entries: done.length, outcomes: counts, dead, settled: done, durationMs: parts.clock.now() - begun })
    // One that settled in part only is no sign that the backend is well.
    if (failure === undefined) lifecycle.dispatch({ kind: 'BatchSettled', waiting })
    return { again, failure }
  }

  const observeQueue = () =>
    guarded(lifecycle, async () => {
      lifecycle.dispatch({ kind: 'BatchSettled', waiting: await parts.path().waiting() })
    })

  const settle = async (batch: readonly Disposition[]) => {
    const begun = parts.clock.now()
    let rest = batch
    while (rest.length > 0) {
      const failure = await attempt(rest, begun).then(
        (tried) => {
          rest = tried.again
          return tried.failure && backendFailure(tried.failure)
        },
        (thrown: unknown) => backendFailure(thrown),
      )
      if (failure?.code === 'DeadLettersFull') {
        // Tried again within seconds (reclaimer.ts), uncounted: the others must not wait for it.
        held.withhold(rest.map(({ id }) => id))
        const outcomes = { forwarded: 0, duplicate: 0, dead: 0, gone: 0 }
        parts.report({
          entries: 0,
          outcomes,
          dead: [],
          settled: [],
          durationMs: parts.clock.now() - begun,
          withheld: rest.length,
        })
        return
      }
      if (failure !== undefined) {
        lifecycle.backendFailed(failure)
        await lifecycle.until((state) => isReady(state) || state.kind === 'Draining' || state.kind === 'Stopped')
      } else if (rest.length > 0) {
        await pause(contendedPauseMs * (0.5 + parts.clock.random()), never, parts.clock.after)
      }
      if (rest.length > 0 && givesUp(lifecycle, failure !== undefined, parts.clock.now())) {
        // Left pending under our name: draining hands it back.
        held.remove(rest.map(({ id }) => id))
        return
      }
    }
  }

  /** Decodes a batch, and gives its memory back to the reading connection for the next reply. */
  const judged = async (batch: readonly Delivery[]): Promise<readonly Disposition[]> => {
    const verdicts = batch.map(judge)
    for (const { fields } of batch) if ('table' in fields) fields.table.release()
    return verdicts
  }

  // Nothing may hold the batch while it is settled: not this call either, whose parameter an `async` function would keep. What outlives two
  // collections costs the most.
  // A bug in decoding is the caller's to report, not an exception in the middle of its turn.
  return { settle: (batch) => judged(batch).then(settle), observeQueue }
}

/** While draining a failed batch is not tried again, a contended one until the deadline. */
function givesUp(lifecycle: Lifecycle, failed: boolean, now: number): boolean {
  const { state } = lifecycle
  return state.kind === 'Stopped' || (state.kind === 'Draining' && (failed || now >= state.deadline))
}
