/**
 * Reaping: the entries of a consumer that is known to be gone become claimable at once. Its name goes when it holds nothing. The
 * caller judges who is gone: the operator for its pods, a local run for its children. This script only makes sure that the name
 * still belongs to the same process, since another may bear it by now.
 *
 * Nothing is handed over: an entry given to a consumer that does not know of it would have no holder until it is idle again. It
 * stays under the name of the gone consumer, with its delivery count, and with the idle time that lets any consumer claim it. The
 * nudge, which living consumers check all the time, reports something to claim. Trimmed entries become dead letters, since XCLAIM
 * would drop them silently.
 *
 * The caller repeats it while the reply is Released: the name goes once the others have claimed everything. It is level-triggered:
 * a zombie (a process that was declared dead and still runs) makes its name again with its next heartbeat, and is reaped again. A
 * name in the group that is not in the registry is of another program and never touched.
 */

import { asFailure, StreamPipelineError } from '../../api/errors.ts'
import { type RedisConnection, refusalOn } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { reap } from '../scripts/generated.ts'
import { parseIdentity } from './identity.ts'
import { unwritable } from './settlement.ts'

/** Entries looked at per call of the script; a page of so many holds Redis for a few milliseconds. */
const pageSize = 1_000

export interface Deceased {
  /** Name in the group. */
  readonly name: string
  /** As the registry holds it; a consumer of that name with another uid is left alone. */
  readonly uid: string
  readonly minIdleMs: number
  /**
   * Leave it alone while its heartbeat has not expired. On the atomic path the pending list itself is the lock, so a zombie does no
   * harm. On the others, entries wait until it is sure to have fallen silent.
   */
  readonly requireExpiredHeartbeat: boolean
}

export type Reaping =
  /** Holds nothing any more; the name is gone from group and registry. */
  | { readonly kind: 'Gone'; readonly entries: number; readonly trimmed: number }
  | {
      readonly kind: 'Released'
      /** Made claimable now; those that were so before are not counted. */
      readonly entries: number
      /** Became dead letters. */
      readonly trimmed: number
      /** Entries still under its name. */
      readonly pending: number
      /** Id of the oldest of those. */
      readonly oldestId: string
      /** Why the record of a trimmed entry could not be written, or an entry not released. The entry stays pending as it is. */
      readonly refusal?: StreamPipelineError
    }
  /** Its heartbeat is still there. */
  | { readonly kind: 'Alive' }
  /** Another process of the same owner bears the name. */
  | { readonly kind: 'Changed' }
  /** The name is not registered, or is another owner's. */
  | { readonly kind: 'Foreign' }

/** Releases what a vanished consumer holds; takes its name away if that is nothing. Throws catalogued errors. */
export async function reapConsumer(connection: RedisConnection, place: StreamPlace, deceased: Deceased): Promise<Reaping> {
  const { stream, deadLetters, keys, group, maxDeadLetters } = place
  const { name, uid, minIdleMs, requireExpiredHeartbeat } = deceased
  const touched = {
    ...{ stream, deadLetters, stats: keys.stats, registry: keys.consumers, nudge: keys.nudge },
    heartbeat: keys.consumer(name),
  }
  let [entries, trimmed, seen] = [0, 0, 0]
  let oldestId = ''
  const released = (refusal: StreamPipelineError | undefined) =>
    ({ kind: 'Released', entries, trimmed, pending: seen - trimmed, oldestId, ...(refusal && { refusal }) }) as const
  let refusal: StreamPipelineError | undefined
  for (let start = '-'; ; ) {
    const page = await reap(connection, touched, {
      ...{ group, name, uid, minIdleMs, maxDeadLetters, start, pageSize },
      requireExpired: requireExpiredHeartbeat,
    }).catch((thrown: unknown) => {
      // The work of earlier pages is done, and only this report counts its records.
      if (entries + trimmed === 0) throw thrown
      return asFailure(thrown)
    })
    if (page instanceof StreamPipelineError) return released(page)
    // The next reaping finds a consumer that came back meanwhile.
    if (page.outcome === 'Alive') return entries + trimmed > 0 ? released(refusal) : { kind: 'Alive' }
    if (page.outcome === 'Changed') return entries + trimmed > 0 ? released(refusal) : strange(uid, page.registered)
    entries += page.released
    trimmed += page.trimmed
    seen += page.seen
    oldestId = page.oldest
    if (page.outcome === 'Gone') return { kind: 'Gone', entries, trimmed }
    if (page.refusal !== '') refusal = unwritable(connection, place, page.refusal)
    if (page.stopped !== '') {
      const stopped = refusalOn(connection, page.stopped)
      if (entries + trimmed === 0) throw stopped
      return released(stopped)
    }
    if (!page.more) return released(refusal)
    start = `(${page.last}`
  }
}

function strange(uid: string, registered: string): Reaping {
  const owner = parseIdentity(uid)?.owner
  return { kind: owner !== undefined && parseIdentity(registered)?.owner === owner ? 'Changed' : 'Foreign' }
}
