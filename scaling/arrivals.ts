/**
 * The arrival rate λ, from the growth of the stream's entries-added counter. The more entries, the more precise the rate; the older
 * they are, the more the rate lags behind. So the window is the shortest of 60 s to 30 min that saw 1,000 entries (chance changes
 * such a count by 3 %). It grows only while older points look like the same load.
 *
 * A changed load shows in the last 15 s before it shows in the shortest window. Their rate replaces the window's rate in two cases.
 * Its pessimistic reading is above the window's rate in both halves of the 15 s, or its optimistic reading is below. The
 * pessimistic reading is three standard deviations below the count, the optimistic one three above. So a step is seen early, up or
 * down. A lucky burst of a few entries does not count as a step, nor does a batch that came at once. A batch is work, which the
 * formula counts already, and not a rate. If one quarter of a window towers above the others, the window's rate is that of the
 * other quarters.
 *
 * The effect of chance is measured, too: entries that come in clumps vary more than single ones (dispersion.ts).
 */
import { type Arrival, stepWindowMs } from './arrivalhistory.ts'
import { dispersion } from './dispersion.ts'

const windowsMs = [60_000, 120_000, 300_000, 600_000, 1_200_000, 1_800_000] as const
const enoughEntries = 1000
/** With a shorter history the count is still divided by this span: one early burst is not yet a rate. */
const leastSpanMs = 10_000
/** Standard deviations beyond which a difference is no chance. */
const beyondChance = 3

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

/** Entries between two times before the latest point, as the remembered points around them tell. */
function between(history: readonly Arrival[], fromMs: number, untilMs: number): Grown | undefined {
  const latest = history.at(-1)
  if (latest === undefined) return undefined
  const from = history.findLast((point) => point.atMs <= latest.atMs - fromMs)
  const until = history.findLast((point) => point.atMs <= latest.atMs - untilMs)
  if (from === undefined || until === undefined || until.atMs <= from.atMs) return undefined
  return { entries: until.added - from.added, spanMs: until.atMs - from.atMs }
}

/** A quarter of the window counts as a batch if it has more than this many times the entries of the others, and chance on top. */
const towering = 3

function withoutBatch(history: readonly Arrival[], windowMs: number): Grown {
  const whole = grownOver(history, windowMs)
  const quarters = [1, 2, 3, 4].map((i) => between(history, (windowMs * i) / 4, (windowMs * (i - 1)) / 4))
  const known = quarters.filter((quarter) => quarter !== undefined)
  if (known.length < 4) return whole
  const highest = known.reduce((most, quarter) => (quarter.entries > most.entries ? quarter : most))
  const others = { entries: whole.entries - highest.entries, spanMs: Math.max(1, whole.spanMs - highest.spanMs) }
  const usual = perSecond(others.entries, others.spanMs) * (highest.spanMs / 1000)
  return highest.entries > towering * usual + beyondChance * Math.sqrt(highest.entries) ? others : whole
}

/** The same load, as far as chance lets one tell. */
function isAlike(one: Grown, other: Grown, scatter: number): boolean {
  const difference = one.entries / one.spanMs - other.entries / other.spanMs
  const variance = scatter * ((one.entries + 1) / one.spanMs ** 2 + (other.entries + 1) / other.spanMs ** 2)
  return difference ** 2 <= beyondChance ** 2 * variance
}

function window(history: readonly Arrival[], scatter: number): Grown {
  let [chosen, spanMs] = [withoutBatch(history, windowsMs[0]), windowsMs[0] as number]
  for (const longerMs of windowsMs.slice(1)) {
    if (chosen.entries >= enoughEntries * scatter) break
    const older = between(history, longerMs, spanMs)
    const longer = withoutBatch(history, longerMs)
    if (older === undefined ? longer.spanMs <= chosen.spanMs : !isAlike(chosen, older, scatter)) break
    ;[chosen, spanMs] = [longer, longerMs]
  }
  return chosen
}

/** The least and the greatest rate that fit the last seconds. */
function lately(history: readonly Arrival[], scatter: number): { readonly least: number; readonly most: number } {
  const halves = [between(history, stepWindowMs, stepWindowMs / 2), between(history, stepWindowMs / 2, 0)]
  if (halves.includes(undefined)) return { least: 0, most: Number.POSITIVE_INFINITY }
  const spans = [...halves.filter((half) => half !== undefined), grownOver(history, stepWindowMs)]
  const chance = beyondChance * Math.sqrt(scatter)
  return {
    least: Math.min(...spans.map((span) => perSecond(Math.max(0, span.entries - chance * Math.sqrt(span.entries)), span.spanMs))),
    // Even a count of 0 may belong to a rate of a few entries.
    most: Math.max(...spans.map((span) => perSecond(span.entries + chance * Math.sqrt(span.entries + 1), span.spanMs))),
  }
}

interface ArrivalRate {
  /** Entries per second. */
  readonly perSecond: number
  /** Standard deviation by chance alone, as a share of it. */
  readonly noise: number
}

export function arrivalRate(history: readonly Arrival[]): ArrivalRate {
  const scatter = dispersion(history)
  const usual = window(history, scatter)
  const { least, most } = lately(history, scatter)
  const rate = perSecond(usual.entries, usual.spanMs)
  const { entries, spanMs } = least > rate || most < rate ? sinceStep(history, scatter) : usual
  return { perSecond: perSecond(entries, spanMs), noise: Math.sqrt(scatter / Math.max(1, entries)) }
}

/** The entries since the load changed: the last seconds, and those before them if they are like them. */
function sinceStep(history: readonly Arrival[], scatter: number): Grown {
  const last = grownOver(history, stepWindowMs)
  const before = between(history, 2 * stepWindowMs, stepWindowMs)
  return before !== undefined && isAlike(last, before, scatter) ? grownOver(history, 2 * stepWindowMs) : last
}
