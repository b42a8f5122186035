/**
 * Which pipelines share a process, and whom the end of one is blamed on. Nothing tells which of them ended it; but only few had a look
 * under way, and of two halves only one ends its process again.
 *
 *   Main       all that are not suspected. When it ends, those that had a look under way are suspected (none had: half of all), the others
 *              go on at once in another process
 *   Suspected  of some one ended a process. They go on apart from the others. When theirs ends, each half of them gets its own; when it
 *              lasts, they go back to the main group
 *   Quarantine one that ended a process alone
 *
 * A pure function of what was and what happened; the host (host.ts) starts and ends processes as told.
 */

export interface Group {
  readonly id: number
  readonly kind: 'Main' | 'Suspected'
  readonly keys: ReadonlySet<string>
}

/** What becomes of those whose process ended. */
export interface Verdict {
  /** Go on at once, among all others. */
  readonly innocent: readonly string[]
  /** Each list goes on in a process of its own. */
  readonly suspected: readonly (readonly string[])[]
  readonly guilty: readonly string[]
}

/**
 * @param begun those that had a look under way
 * @param again the main group ended a moment ago, too, and nobody had a look under way either time
 */
export function judge(group: Group, begun: ReadonlySet<string>, again: boolean): Verdict {
  const keys = [...group.keys]
  const busy = keys.filter((key) => begun.has(key))
  const idle = keys.filter((key) => !begun.has(key))
  if (group.kind === 'Main') {
    if (busy.length > 0) return { innocent: idle, suspected: split(busy), guilty: [] }
    return again ? { innocent: [], suspected: split(keys), guilty: [] } : { innocent: keys, suspected: [], guilty: [] }
  }
  if (keys.length === 1) return { innocent: [], suspected: [], guilty: keys }
  if (busy.length === 1) return { innocent: [], suspected: [idle], guilty: busy }
  // The halves of those that looked; the others of the group are suspected less, and looked at together.
  const rest = idle.length > 0 && busy.length > 0 ? [idle] : []
  return { innocent: [], suspected: [...split(busy.length > 0 ? busy : keys), ...rest], guilty: [] }
}

function split(keys: readonly string[]): readonly (readonly string[])[] {
  if (keys.length < 2) return keys.length === 0 ? [] : [keys]
  const half = Math.ceil(keys.length / 2)
  return [keys.slice(0, half), keys.slice(half)]
}
