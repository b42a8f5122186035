/**
 * The arrival rate λ, from how the stream's entries-added counter grows. The shortest of 60, 120, 300 and 600 s that saw at least
 * 100 entries is the window: short ones follow the load, long ones smooth a trickle. The last 15 s count only where even the
 * pessimistic reading of them (three standard deviations of a Poisson count below) is higher in both their halves: a step is
 * believed early, a lucky burst of a few entries is not, nor is a batch that came at once. A batch is work, which the formula
 * counts already, not a rate: where one quarter of a window towers above the others, the window's rate is that of the others.
 */

export interface Arrival {
  readonly atMs: number
  readonly added: number
}

const windowsMs = [60_000, 120_000, 300_000, 600_000] as const
const enoughEntries = 100
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
  const longestMs = latest.atMs - windowsMs[3] - spacingMs
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

/** Entries that a Poisson count of so many may well have been on average, from below. */
const pessimistic = (entries: number): number => Math.max(0, entries - 3 * Math.sqrt(entries))

/** Entries between two times before the latest point, as the remembered points around them tell. */
function between(history: readonly Arrival[], fromMs: number, untilMs: number): Grown | undefined {
  const latest = history.at(-1)
  if (latest === undefined) return undefined
  const from = history.findLast((point) => point.atMs <= latest.atMs - fromMs)
  const until = history.findLast((point) => point.atMs <= latest.atMs - untilMs)
  if (from === undefined || until === undefined || until.atMs <= from.atMs) return undefined
  return { entries: until.added - from.added, spanMs: until.atMs - from.atMs }
}

/** How many times the others, beyond chance, a quarter must be to count as a batch. */
const towering = 3

function withoutBatch(history: readonly Arrival[], windowMs: number): Grown {
  const whole = grownOver(history, windowMs)
  const quarters = [1, 2, 3, 4].map((i) => between(history, (windowMs * i) / 4, (windowMs * (i - 1)) / 4))
  const known = quarters.filter((quarter) => quarter !== undefined)
  if (known.length < 4) return whole
  const highest = known.reduce((most, quarter) => (quarter.entries > most.entries ? quarter : most))
  const others = { entries: whole.entries - highest.entries, spanMs: Math.max(1, whole.spanMs - highest.spanMs) }
  const usual = perSecond(others.entries, others.spanMs) * (highest.spanMs / 1000)
  return highest.entries > towering * usual + 3 * Math.sqrt(highest.entries) ? others : whole
}

function stepRate(history: readonly Arrival[]): number {
  const halves = [between(history, stepWindowMs, stepWindowMs / 2), between(history, stepWindowMs / 2, 0)]
  const rates = halves.map((half) => (half === undefined ? 0 : perSecond(pessimistic(half.entries), half.spanMs)))
  const whole = grownOver(history, stepWindowMs)
  return Math.min(perSecond(pessimistic(whole.entries), whole.spanMs), ...rates)
}

export interface ArrivalRate {
  /** Entries per second. */
  readonly perSecond: number
  /** Standard deviation by chance alone, as a share of it. */
  readonly noise: number
}

export function arrivalRate(history: readonly Arrival[]): ArrivalRate {
  const windowMs = windowsMs.find((span) => grownOver(history, span).entries >= enoughEntries) ?? windowsMs[3]
  const { entries, spanMs } = withoutBatch(history, windowMs)
  return { perSecond: Math.max(perSecond(entries, spanMs), stepRate(history)), noise: 1 / Math.sqrt(Math.max(1, entries)) }
}
