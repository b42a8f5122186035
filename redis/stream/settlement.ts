/**
 * The stream's side of settling: dead letters and acknowledgements of a batch, in one script. A dead letter is written only for an entry
 * that is still pending, in the step that acknowledges the entry. One that cannot be written (a full stream, one of the wrong type, memory)
 * leaves its entry pending. A full dead-letter stream pushes out nothing, since its records exist nowhere else. The return of XACK goes into
 * the ledger, from which unread loss is computed.
 */
import { asFailure, failure, StreamPipelineError } from '../../api/errors.ts'
import { labelOf, type RedisConnection } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import type { StreamPlace } from '../placement.ts'
import type { DeadLetterReason } from '../record.ts'
import { settle } from '../scripts/generated.ts'

export interface DeadLetterOrder {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly error: string
  /** Hash of the idempotency key, where one could be derived. */
  readonly hash?: string
  readonly redrives: number
  /** Only if the entry is idle at least this long and delivered at least this often: another consumer may be working on it. */
  readonly only?: { readonly minIdleMs: number; readonly minDeliveries: number }
}

/** `refused`: the record could not be written; the entry stays pending. */
type DeadLetterOutcome = 'dead' | 'gone' | 'refused'

interface Settled {
  readonly acknowledged: number
  readonly deadLetters: readonly DeadLetterOutcome[]
  /** Why some are `refused`. */
  readonly refusal?: StreamPipelineError
}

/** Longest `error` kept in a record, in UTF-16 units. */
const maxErrorLength = 1_000

/**
 * Acknowledges entries and writes dead letters in one step. A dead letter that cannot be written does not keep the other entries from being settled.
 * @param duplicates how many of `acknowledged` had been forwarded before; the account separates them from jobs
 */
export async function settleEntries(
  connection: RedisConnection,
  place: StreamPlace,
  acknowledged: readonly string[],
  orders: readonly DeadLetterOrder[],
  duplicates = 0,
): Promise<Settled> {
  const { stream, deadLetters, keys, group, maxDeadLetters } = place
  const letters = orders.map(({ id, reason, error, hash = '', redrives, only }) => ({
    ...{ id, reason, error: error.slice(0, maxErrorLength).toWellFormed(), hash, redrives },
    minIdleMs: only?.minIdleMs ?? 0,
    minDeliveries: only?.minDeliveries ?? 0,
  }))
  const nothing = { acknowledged: [], duplicates: 0 }
  const outcomes: DeadLetterOutcome[] = []
  let refusal: StreamPipelineError | undefined
  let total = 0
  do {
    // The first call acknowledges; one is enough unless it ends for the bytes of its records.
    const settled = await settle(
      connection,
      { stream, deadLetters, stats: keys.stats },
      {
        group,
        maxDeadLetters,
        ...(outcomes.length === 0 ? { acknowledged, duplicates } : nothing),
        letters: letters.slice(outcomes.length),
      },
    ).catch((thrown: unknown) => {
      // Only this report counts the entries that earlier calls settled: another attempt would find them gone.
      if (outcomes.length === 0) throw thrown
      return asFailure(thrown)
    })
    if (settled instanceof StreamPipelineError) {
      const rest = letters.slice(outcomes.length).map(() => 'refused' as const)
      return { acknowledged: total, deadLetters: [...outcomes, ...rest], refusal: settled }
    }
    total += settled.acknowledged
    for (const outcome of settled.outcomes) {
      if (outcome === 'later') break
      if (outcome !== 'dead' && outcome !== 'gone') refusal = unwritable(connection, place, outcome)
      outcomes.push(outcome === 'dead' || outcome === 'gone' ? outcome : 'refused')
    }
  } while (outcomes.length < letters.length)
  return { acknowledged: total, deadLetters: outcomes, ...(refusal && { refusal }) }
}

/** The failure for a dead letter that the server refused. */
export function unwritable(connection: RedisConnection, place: StreamPlace, detail: string) {
  const reply = Object.assign(new Error(detail), { name: 'ReplyError' })
  const code = replyCode(reply)
  if (code === 'WRONGTYPE') {
    return failure('WrongKeyType', { key: place.deadLetters, actual: 'value of another type', expected: 'stream' }, reply)
  }
  if (code === 'FULL') {
    return failure('DeadLettersFull', { stream: place.deadLetters, maxEntries: String(place.maxDeadLetters) }, reply)
  }
  if (code === 'NOPERM') return failure('RedisPermissionDenied', { detail }, reply)
  if (code === 'OOM') return failure('RedisOutOfMemory', { address: labelOf(connection), detail }, reply)
  return failure('RedisCommandFailed', { command: 'XADD of a dead letter', detail }, reply)
}
