/** The remembered points of the stream's entries-added counter. Arrival rate and dispersion are read from them. */

export interface Arrival {
  readonly atMs: number
  readonly added: number
}

const longestMs = 1_800_000
/** Every point is kept for this long: over such a span a step of the load is looked for. */
export const stepWindowMs = 15_000

/** Spacing of remembered points by their age: long windows need no fine ends, and the state stays small at any tick. */
function spacingMs(ageMs: number): number {
  if (ageMs <= stepWindowMs) return 0
  if (ageMs <= 120_000) return 5_000
  return ageMs <= 600_000 ? 15_000 : 60_000
}

/** A counter that fell means that the stream was made anew: history starts there. */
export function rememberArrival(history: readonly Arrival[], latest: Arrival): readonly Arrival[] {
  const last = history.at(-1)
  if (last !== undefined && latest.added < last.added) return [latest]
  const kept: Arrival[] = []
  let keptMs = Number.NEGATIVE_INFINITY
  for (const point of history) {
    const ageMs = latest.atMs - point.atMs
    if (ageMs > longestMs + spacingMs(longestMs) || point.atMs - keptMs < spacingMs(ageMs)) continue
    kept.push(point)
    keptMs = point.atMs
  }
  return [...kept, latest]
}
