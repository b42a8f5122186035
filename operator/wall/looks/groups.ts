/**
 * Decides which pipelines share a process, and which are suspected when one ends. Nothing shows which pipeline ended it. But only a few
 * had a look under way, and of two halves only one ends its process again.
 *
 * - Main: all that are not suspected. When its process ends, pipelines with a look under way are suspected. If none had one, and this
 *   happened twice, each half of all is suspected. The others go on at once in another process.
 * - Suspected: pipelines of which one ended a process, apart from the others. When their process ends, each half gets its own; when it
 *   lasts, they go back to the main group.
 * - Quarantine: a pipeline that ended a process alone.
 *
 * A pure function of the group and the event. The host (host.ts) starts and ends processes accordingly.
 */

export interface Group {
  readonly id: number
  readonly kind: 'Main' | 'Suspected'
  readonly keys: ReadonlySet<string>
}

/** The next place of each pipeline of an ended process. */
interface Verdict {
  /** Go on at once, in the main group. */
  readonly innocent: readonly string[]
  /** Each list goes on in a process of its own. */
  readonly suspected: readonly (readonly string[])[]
  readonly guilty: readonly string[]
}

/**
 * @param begun pipelines with a look under way
 * @param again the main group also ended a moment ago, and no look was under way either time
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
  // Pipelines with a look under way are halved. The others of the group are less suspected, and share one process.
  const rest = idle.length > 0 && busy.length > 0 ? [idle] : []
  return { innocent: [], suspected: [...split(busy.length > 0 ? busy : keys), ...rest], guilty: [] }
}

function split(keys: readonly string[]): readonly (readonly string[])[] {
  if (keys.length < 2) return keys.length === 0 ? [] : [keys]
  const half = Math.ceil(keys.length / 2)
  return [keys.slice(0, half), keys.slice(half)]
}
