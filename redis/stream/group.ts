/**
 * The consumer group, made where it is missing. A group that never existed starts where the spec says. A group may be gone by
 * FLUSHALL, DEL or a restore from an older backup. A new one at the end would lose entries. One at 0 with a retained history would
 * run it all again. So it starts at the floor that the heartbeats keep: all entries below were settled. The ledger begins anew with
 * a group. A floor beyond the stream's last id is of an earlier stream, and 0 is right.
 */
import type { RedisConnection } from '../connect/connection.ts'
import type { KeySpace } from '../keys.ts'
import { ensureGroup as callEnsureGroup } from '../scripts/generated.ts'

export type GroupOutcome = { readonly kind: 'created' | 'recreated' | 'exists'; readonly start: string }

/**
 * Creates stream and group where they are missing. Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed.
 * @param existed the caller has seen the group. The stats say so too, but FLUSHALL deletes them together with the group
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
