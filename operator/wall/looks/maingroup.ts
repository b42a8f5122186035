/**
 * The main process, which looks at all pipelines but suspects and quarantined ones.
 *
 *   None ──a pipeline joins, or is about to──▶ Running ──ends──▶ (its innocent pipelines join anew) Running
 *    ▲                                            │                    └──it ends again and again──▶ Pausing ──▶ Running
 *    └──no pipeline is left, or none came─────────┘
 *
 * While it pauses, pipelines wait without a group.
 */
import { type Backoff, backoffMs } from '../../../process/backoff.ts'
import type { Clock } from '../../../process/clock.ts'
import type { RunningGroup } from './entries.ts'
import type { RunningGroups } from './runninggroups.ts'

interface MainGroup {
  /** Pipelines are about to join: the process starts, and ends if none comes for ten seconds. */
  prepare(): void
  join(keys: Iterable<string>): void
  is(group: RunningGroup): boolean
  /** The last end left no suspect. */
  readonly unexplained: boolean
  /** @param explained suspects were found @param rest the pipelines to look at when it begins again */
  ended(group: RunningGroup, explained: boolean, rest: () => readonly string[]): void
  /** It has no pipelines left. */
  dismissed(): void
  close(): void
}

const restarting: Backoff = { baseMs: 500, maxMs: 30_000 }
/** A process that lasted for so long did not fail at its start. */
const lastedMs = 60_000
const unusedMs = 10_000

export function createMainGroup(clock: Clock, groups: () => RunningGroups): MainGroup {
  let main: RunningGroup | undefined
  /** Ends in a row. */
  let ends = 0
  let unexplained = false
  let closed = false
  let cancelRestart: (() => void) | undefined
  let cancelUnused = () => {}

  function join(keys: Iterable<string>): void {
    if (closed || cancelRestart !== undefined) return
    for (const key of keys) {
      main ??= groups().start('Main')
      groups().join(main, key)
    }
  }

  return {
    prepare() {
      if (closed || main !== undefined || cancelRestart !== undefined) return
      const prepared = groups().start('Main')
      main = prepared
      cancelUnused = clock.after(unusedMs, () => {
        if (main === prepared && prepared.keys.size === 0) groups().dissolve(prepared)
      })
    },
    join,
    is: (group) => group === main,
    get unexplained() {
      return unexplained
    },
    ended(group, explained, rest) {
      main = undefined
      ends = clock.now() - group.startedMs > lastedMs ? 1 : ends + 1
      unexplained = !explained
      const begin = () => {
        cancelRestart = undefined
        join(rest())
      }
      // The others begin at once, unless earlier starts failed.
      const times = explained ? 1 : ends
      if (times === 1) begin()
      else cancelRestart = clock.after(backoffMs(times - 1, restarting, clock.random()), begin)
    },
    dismissed() {
      main = undefined
    },
    close() {
      closed = true
      cancelUnused()
      cancelRestart?.()
    },
  }
}
