/**
 * The consumer group, made where it is missing. A group that never existed starts where the spec says. One that did exist and
 * is gone (FLUSHALL, DEL, a restore from an older backup) must never start at the end, which would lose entries, nor at 0 with
 * a retained history, which would run it all again: it starts at the floor that the heartbeats keep, below which everything
 * was settled. The ledger begins anew with a group. A floor beyond what the stream ever held belongs to another life of the stream, and 0 is right.
 */
import type { RedisConnection } from '../connect/connection.ts'
import type { KeySpace } from '../keys.ts'
import { ensureGroup as callEnsureGroup } from '../scripts/generated.ts'

export type GroupOutcome = { readonly kind: 'created' | 'recreated' | 'exists'; readonly start: string }

/**
 * Creates stream and group where they are missing. Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed.
 * @param existed the caller has seen the group: FLUSHALL takes the stats that say so along with it
 */
export async function ensureGroup(
  connection: RedisConnection,
  keys: KeySpace,
  source: { readonly stream: string; readonly group: string; readonly startFrom: 'Beginning' | 'End' },
  existed = false,
): Promise<GroupOutcome> {
  const start = source.startFrom === 'Beginning' ? '0-0' : '$'
  const made = await callEnsureGroup(
    connection,
    { stream: source.stream, stats: keys.stats },
    { group: source.group, start, existed },
  )
  const { outcome } = made
  return { kind: outcome === 'exists' || outcome === 'recreated' ? outcome : 'created', start: made.start }
}
