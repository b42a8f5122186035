/**
 * The arrival rate λ, from how the stream's entries-added counter grows. The shortest of 60, 120 and 300 s that saw at least
 * 60 entries is the window: short ones follow the load, long ones smooth a trickle. The last 15 s count only where even the
 * pessimistic reading of them (two standard deviations of a Poisson count below) is higher: a step is believed early, a lucky
 * burst of a few entries is not.
 */

export interface Arrival {
  readonly atMs: number
  readonly added: number
}

const windowsMs = [60_000, 120_000, 300_000] as const
const enoughEntries = 60
const stepWindowMs = 15_000
/** With less history than this a rate is divided by it all the same: one early burst is not yet a rate. */
const leastSpanMs = 10_000
/** Spacing of remembered points beyond the step window: the state stays small at any tick. */
const spacingMs = 5_000

/** A counter that fell means that the stream was made anew: history starts there. */
export function rememberArrival(history: readonly Arrival[], latest: Arrival): readonly Arrival[] {
  const last = history.at(-1)
  if (last !== undefined && latest.added < last.added) return [latest]
  const recentMs = latest.atMs - stepWindowMs
  const longestMs = latest.atMs - windowsMs[2] - spacingMs
  const kept: Arrival[] = []
  for (const point of history) {
    const spaced = kept.length === 0 || point.atMs - (kept.at(-1)?.atMs ?? 0) >= spacingMs
    if (point.atMs >= longestMs && (point.atMs >= recentMs || spaced)) kept.push(point)
  }
  return [...kept, latest]
}

interface Grown {
  readonly entries: number
  readonly spanMs: number
}

function grownOver(history: readonly Arrival[], windowMs: number): Grown {
  const latest = history.at(-1)
  if (latest === undefined) return { entries: 0, spanMs: windowMs }
  // The newest point that is at least a window old, or the oldest there is.
  const from = history.findLast((point) => point.atMs <= latest.atMs - windowMs) ?? history[0] ?? latest
  return { entries: latest.added - from.added, spanMs: Math.max(leastSpanMs, latest.atMs - from.atMs) }
}

const perSecond = (entries: number, spanMs: number): number => (entries * 1000) / spanMs

/** Entries per second. */
export function arrivalRate(history: readonly Arrival[]): number {
  const spans = windowsMs.map((windowMs) => grownOver(history, windowMs))
  const chosen = spans.find((grown) => grown.entries >= enoughEntries) ?? spans.at(-1)
  const steady = chosen === undefined ? 0 : perSecond(chosen.entries, chosen.spanMs)
  const step = grownOver(history, stepWindowMs)
  const pessimistic = perSecond(Math.max(0, step.entries - 2 * Math.sqrt(step.entries)), step.spanMs)
  return Math.max(steady, pessimistic)
}
