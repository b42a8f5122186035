/**
 * Suspects: pipelines of which one may have ended its process. They run apart, in a process of their own, until it has lasted. A pipeline
 * that ends processes now and then is kept apart for longer each time.
 *
 *   suspected ──(waits for a free process)──▶ on probation ──lasts, each was looked at twice──▶ acquitted
 *                                                  └──the process ends──▶ judged anew (groups.ts)
 */
import type { Clock } from '../../../process/clock.ts'
import type { Entry, RunningGroup } from './entries.ts'
import type { RunningGroups } from './runninggroups.ts'

interface ProbationParts {
  readonly clock: Pick<Clock, 'after'>
  readonly entries: ReadonlyMap<string, Entry>
  readonly groups: RunningGroups
  readonly onAcquitted: (keys: readonly string[]) => void
}

interface Probation {
  suspect(keys: readonly string[]): void
  /** Starts processes for waiting suspects, up to the limit. */
  start(): void
  /** The pipeline is a suspect that has no process yet. */
  isWaiting(key: string): boolean
  clear(): void
}

/** Time for which suspects run apart before they are acquitted. */
const probationMs = 10_000
const mostSuspected = 64
/** Most processes of suspects, beside the main one: each takes some 50 MiB. */
const mostProbations = 3

export function createProbation({ clock, entries, groups, onAcquitted }: ProbationParts): Probation {
  const waiting: (readonly string[])[] = []

  function begin(keys: readonly string[]): void {
    const group = groups.start('Suspected')
    for (const key of keys) groups.join(group, key)
    const factor = Math.max(...keys.map((key) => entries.get(key)?.suspected ?? 1))
    group.cancelProbation = clock.after(probationMs * factor, () => pass(group))
  }

  function pass(group: RunningGroup): void {
    const looked = [...group.keys].every((key) => (entries.get(key)?.looks ?? 2) >= 2)
    if (looked) onAcquitted(groups.dissolve(group))
    else group.cancelProbation = clock.after(probationMs, () => pass(group))
  }

  return {
    suspect(keys) {
      for (const key of keys) {
        const entry = entries.get(key)
        if (entry !== undefined) entry.suspected = Math.min(mostSuspected, entry.suspected * 2 || 1)
      }
      if (keys.length > 0) waiting.push(keys)
    },
    start() {
      while (groups.count('Suspected') < mostProbations) {
        const keys = waiting.shift()?.filter((key) => entries.get(key)?.group === undefined && entries.has(key))
        if (keys === undefined) return
        if (keys.length > 0) begin(keys)
      }
    },
    isWaiting: (key) => waiting.some((keys) => keys.includes(key)),
    clear() {
      waiting.length = 0
    },
  }
}
