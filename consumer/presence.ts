/**
 * The consumer's presence in the group: its heartbeat, the renewal of what it holds long, and the nudge it listens for. The
 * heartbeat goes on while the consumer drains, or a long drain would look like a death. It stops listening when it begins to drain.
 */

import { failure } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import { labelOf, type RedisConnection } from '../redis/connect/connection.ts'
import type { StreamPlace } from '../redis/placement.ts'
import { renewEntries } from '../redis/stream/pending.ts'
import { heartbeatIntervalMs, readNudge, sendHeartbeat } from '../redis/stream/registry.ts'
import { guarded } from './backendfailure.ts'
import type { HeldEntries } from './held.ts'
import type { Lifecycle } from './lifecycle.ts'
import { listenIntervalMs, type Nudges } from './nudges.ts'
import { mayRead } from './states.ts'
import type { Tally } from './tally.ts'

/**
 * How long a beat may go unanswered before Redis counts as away. ioredis fails unsent commands within seconds. It keeps commands
 * that were under way when a socket fell silent, until a server answers again. With a Redis that accepts connections and never
 * replies, every loop could wait so, unnoticed.
 */
const unansweredMs = 10_000

interface PresenceParts {
  readonly connection: RedisConnection
  readonly place: StreamPlace
  readonly name: string
  readonly uid: string
  /** That the pipeline lets requests set options. */
  readonly takesOptions?: boolean
  readonly minIdleMs: number
  readonly lifecycle: Lifecycle
  readonly held: HeldEntries
  readonly tally: Tally
  readonly nudges: Nudges
  /** Kind of the forward path, once it is chosen. */
  readonly path: () => string
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly heartbeatSent: (atMs: number) => void
  /** Receives the number of entries that became dead letters instead of being renewed. */
  readonly trimmed: (count: number) => void
}

export interface Presence {
  /** One heartbeat. Throws catalogued errors. */
  beat(): Promise<void>
  /** Beats until `leaving` aborts. */
  beating(leaving: AbortSignal): Promise<void>
  /** Asks for the nudge until draining begins. */
  listening(): Promise<void>
  /** Renews what has not been renewed for `ageMs`. Throws catalogued errors. */
  renew(ageMs: number): Promise<void>
  /** True, once, when two beats in a row showed more entries under our name than we hold: a reply was lost with a connection. */
  missesEntries(): boolean
}

export function createPresence(parts: PresenceParts): Presence {
  const { connection, place, name, lifecycle, held, nudges } = parts
  /** Beats in a row at which the server counted more entries for us than we hold. */
  let missing = 0

  const beat = async () => {
    const reply = await sendHeartbeat(connection, place, name, {
      uid: parts.uid,
      state: lifecycle.state.kind,
      inFlight: held.size - held.withheld,
      path: parts.path(),
      ...(parts.takesOptions === true ? { takesOptions: true } : {}),
      ...parts.tally.read(),
    })
    parts.heartbeatSent(reply.now)
    missing = reply.held > held.size ? missing + 1 : 0
    nudges.heard(reply.nudge)
  }

  /** Reports when `work` takes too long, and waits for it all the same: it may have been done. */
  const watched = async (work: Promise<void>) => {
    let ended = false
    const report = () => {
      if (ended) return
      const detail = `a heartbeat or renewal has had no answer for ${unansweredMs} ms`
      lifecycle.backendFailed(failure('RedisUnreachable', { address: labelOf(connection), detail }))
    }
    // An answer that came while this process itself stood still is read first.
    const cancel = parts.clock.after(unansweredMs, () => setImmediate(report))
    try {
      await work
    } finally {
      ended = true
      cancel()
    }
  }

  const renew = async (ageMs: number) => {
    const old = held.due(ageMs, parts.clock.now())
    if (old.length > 0) await renewEntries(connection, place, name, old, parts.trimmed)
  }

  return {
    beat,
    renew,
    async beating(leaving) {
      // An entry is renewed well before it is idle enough for a peer: more often than the heart beats, if `minIdle` is short.
      const everyMs = Math.min(heartbeatIntervalMs, parts.minIdleMs / 4)
      let beatAt = Number.NEGATIVE_INFINITY
      while (!leaving.aborted) {
        if (lifecycle.state.kind !== 'BackendDown') {
          await guarded(lifecycle, async () => {
            if (parts.clock.now() - beatAt > heartbeatIntervalMs - everyMs) {
              beatAt = parts.clock.now()
              await watched(beat())
            }
            await watched(renew(parts.minIdleMs / 3))
          })
        }
        await pause(everyMs, leaving, parts.clock.after)
      }
    },
    async listening() {
      for (;;) {
        await pause(listenIntervalMs, lifecycle.draining, parts.clock.after)
        if (lifecycle.draining.aborted) return
        if (!mayRead(lifecycle.state)) continue
        await guarded(lifecycle, async () => nudges.heard(await readNudge(connection, place)))
      }
    },
    missesEntries() {
      if (missing < 2) return false
      missing = 0
      return true
    },
  }
}
