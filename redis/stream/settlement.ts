/**
 * The stream's side of settling: dead letters and acknowledgements of a batch, in one script. A dead letter is written only for
 * an entry that is still pending and in the same step in which it is acknowledged; one that cannot be written (a full stream, one of
 * the wrong type, memory) leaves its entry pending. A full one pushes out nothing: what is in it was lost from the stream. XACK's own return goes into the ledger, from which unread loss is computed.
 */
import { asFailure, failure, StreamPipelineError } from '../../api/errors.ts'
import { labelOf, type RedisConnection } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import type { StreamPlace } from '../placement.ts'
import type { DeadLetterReason } from '../record.ts'
import { settle } from '../scripts/generated.ts'

export interface Burial {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly error: string
  /** Hash of the idempotency key, where one could be derived. */
  readonly hash?: string
  readonly redrives: number
  /** Bury only what is idle at least this long and delivered at least this often: for entries somebody else may be working on. */
  readonly only?: { readonly minIdleMs: number; readonly minDeliveries: number }
}

/** `refused`: the record could not be written; the entry stays pending. */
type BurialOutcome = 'dead' | 'gone' | 'refused'

export interface Settled {
  readonly acknowledged: number
  readonly burials: readonly BurialOutcome[]
  /** Why some are `refused`. */
  readonly refusal?: StreamPipelineError
}

/** Longest `error` kept in a record, in UTF-16 units. */
const maxErrorLength = 1_000

/**
 * Acknowledges and buries in one step. A dead letter that cannot be written does not keep the other entries from being settled.
 * @param duplicates how many of `acknowledged` had been forwarded before; the account separates them from jobs
 */
export async function settleEntries(
  connection: RedisConnection,
  place: StreamPlace,
  acknowledged: readonly string[],
  burials: readonly Burial[],
  duplicates = 0,
): Promise<Settled> {
  const { stream, deadLetters, keys, group, maxDeadLetters } = place
  const letters = burials.map(({ id, reason, error, hash = '', redrives, only }) => ({
    ...{ id, reason, error: error.slice(0, maxErrorLength).toWellFormed(), hash, redrives },
    minIdleMs: only?.minIdleMs ?? 0,
    minDeliveries: only?.minDeliveries ?? 0,
  }))
  const nothing = { acknowledged: [], duplicates: 0 }
  const outcomes: BurialOutcome[] = []
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
      return { acknowledged: total, burials: [...outcomes, ...rest], refusal: settled }
    }
    total += settled.acknowledged
    for (const outcome of settled.outcomes) {
      if (outcome === 'later') break
      if (outcome !== 'dead' && outcome !== 'gone') refusal = unwritable(connection, place, outcome)
      outcomes.push(outcome === 'dead' || outcome === 'gone' ? outcome : 'refused')
    }
  } while (outcomes.length < letters.length)
  return { acknowledged: total, burials: outcomes, ...(refusal && { refusal }) }
}

/** What the server said of a dead letter it did not take. */
export function unwritable(connection: RedisConnection, place: StreamPlace, told: string) {
  const reply = Object.assign(new Error(told), { name: 'ReplyError' })
  const code = replyCode(reply)
  if (code === 'WRONGTYPE') {
    return failure('WrongKeyType', { key: place.deadLetters, actual: 'value of another type', expected: 'stream' }, reply)
  }
  if (code === 'FULL') {
    return failure('DeadLettersFull', { stream: place.deadLetters, maxEntries: String(place.maxDeadLetters) }, reply)
  }
  if (code === 'NOPERM') return failure('RedisPermissionDenied', { detail: told }, reply)
  if (code === 'OOM') return failure('RedisOutOfMemory', { address: labelOf(connection), detail: told }, reply)
  return failure('RedisCommandFailed', { command: 'XADD of a dead letter', detail: told }, reply)
}
