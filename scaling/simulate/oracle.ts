/**
 * The oracle knows every arrival and service time beforehand. It requests the fewest replicas that still take each entry within the
 * target, with the same start-up, bounds and cluster. The work done by a time must lie between the arrivals until then and the
 * arrivals until one target earlier. The path of least change through that channel (a taut string) needs the fewest starts. The
 * oracle runs in the same cluster, with whole replicas. Where rounding up costs something, their number alternates between the
 * whole numbers above and below that path. Where more than 1 % is late then, the path is raised a little, up to a limit. Our cost
 * is divided by its cost.
 */
import { intensityAt, type Load } from './load.ts'
import { lateShare } from './measure.ts'
import type { Scenario } from './scenario.ts'
import { type Controller, type Run, simulate } from './world.ts'

const stepSeconds = 5

const scheduled = (curve: ArrayLike<number>): Controller => ({
  every: 1,
  decide: ({ at }) => curve[Math.min(at, curve.length - 1)] ?? 0,
})

interface OracleRun {
  readonly run: Run
  /** It could keep the target. */
  readonly keeps: boolean
}

const slacks = [0.8, 0.6, 0.4] as const
const extras = [1, 1.05, 1.12, 1.25] as const
const frugalExtras = [1, 1.06] as const
/** If rounding up costs more than this factor over fractions, an alternation of the whole numbers above and below is tried. */
const roundingShare = 1.03
/**
 * If something behind the replicas is the limit, and an attempt left more than this share of the entries late, more replicas do not
 * help.
 */
const hopeless = 0.5

export function runOracle(scenario: Scenario, load: Load, seed: number): OracleRun {
  const attempt = (needed: Float64Array): Run => simulate(scenario, load, scheduled(startedInTime(scenario, needed)), seed)
  const lateOf = (run: Run): number => lateShare(scenario, load, run)
  const limited = scenario.downstream !== undefined || scenario.queue !== undefined
  for (const extra of frugalExtras) {
    const frugal = rounded(scenario, neededShares(scenario, load, slacks[0], extra))
    if (frugal === undefined) break
    const run = attempt(frugal)
    const late = lateOf(run)
    if (late <= 0.01) return { run, keeps: true }
    if (limited && late > hopeless) break
  }
  let best: Run | undefined
  for (const [i, extra] of extras.entries()) {
    const shares = neededShares(scenario, load, slacks[Math.min(i, slacks.length - 1)] ?? 0.5, extra)
    best = attempt(shares.map((share) => whole(scenario, Math.ceil(share - 1e-6))))
    const late = lateOf(best)
    if (late <= 0.01) return { run: best, keeps: true }
    if (limited && late > hopeless) break
  }
  if (best === undefined) throw new RangeError('the oracle was not run')
  return { run: best, keeps: false }
}

/** Replicas that must be ready, by second: fractions of them, without bounds. */
function neededShares(scenario: Scenario, load: Load, slack: number, extra: number): Float64Array {
  const { duration, scaling, slots } = scenario
  const steps = Math.ceil(duration / stepSeconds)
  const arrived = new Float64Array(steps + 1)
  for (let i = 0; i < load.arrivals.length; i++) {
    const step = Math.min(steps, Math.floor((load.arrivals[i] as number) / stepSeconds) + 1)
    arrived[step] = (arrived[step] as number) + (load.services[i] as number)
  }
  for (let k = 1; k <= steps; k++) arrived[k] = (arrived[k] as number) + (arrived[k - 1] as number)
  const delay = Math.max(1, Math.floor(((scaling.targetAgeMs / 1000) * slack) / stepSeconds))
  const due = arrived.map((_, k) =>
    k === steps ? (arrived[Math.max(0, steps - delay)] as number) : (arrived[Math.max(0, k - delay)] as number),
  )
  const rates = tautString(due, arrived)
  return new Float64Array(duration).map((_, at) => {
    const rate = (rates[Math.min(steps - 1, Math.floor(at / stepSeconds))] as number) / stepSeconds
    return (rate * extra) / slots
  })
}

/** Within the bounds, and no more than the limit behind the consumers can use. */
function whole({ scaling, downstream, queue, service, slots }: Scenario, replicas: number): number {
  const behind = Math.min(downstream?.perSecond ?? Number.POSITIVE_INFINITY, queue?.perSecond ?? Number.POSITIVE_INFINITY)
  const most = behind === Number.POSITIVE_INFINITY ? scaling.maxReplicas : Math.ceil((behind * service.mean) / slots)
  return Math.min(scaling.maxReplicas, Math.max(scaling.minReplicas, Math.min(most, replicas)))
}

/**
 * Whole numbers whose mean is that of the shares. Each number lasts for half the target: entries can wait that long for the next
 * one. Undefined where rounding up costs next to nothing.
 */
function rounded(scenario: Scenario, shares: Float64Array): Float64Array | undefined {
  const { scaling, startUp } = scenario
  const block = Math.max(stepSeconds, Math.ceil(2 * startUp.mean), Math.floor(scaling.targetAgeMs / 2000))
  const curve = new Float64Array(shares.length)
  let [carried, up, fractions] = [0, 0, 0]
  for (let from = 0; from < shares.length; from += block) {
    const until = Math.min(shares.length, from + block)
    let wanted = 0
    for (let at = from; at < until; at++) {
      const share = shares[at] as number
      wanted += share
      up += whole(scenario, Math.ceil(share - 1e-6))
      fractions += Math.max(scaling.minReplicas, share)
    }
    const replicas = whole(scenario, Math.ceil((wanted + carried) / (until - from) - 1e-6 - 0.5))
    carried = Math.min(wanted + carried - replicas * (until - from), (until - from) / 2)
    // Surplus is no credit for later: it idled.
    carried = Math.max(0, carried)
    curve.fill(replicas, from, until)
  }
  return up > roundingShare * fractions ? curve : undefined
}

/** Slope per step of the path of least change with low[k] ≤ path[k] ≤ high[k]. */
export function tautString(low: Float64Array, high: Float64Array): Float64Array {
  const last = low.length - 1
  const slopes = new Float64Array(last)
  let anchor = 0
  let height = 0
  while (anchor < last) {
    let [steepest, flattest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    let [highAt, lowAt] = [anchor + 1, anchor + 1]
    let bend = -1
    let bendHeight = 0
    for (let k = anchor + 1; k <= last; k++) {
      const top = ((high[k] as number) - height) / (k - anchor)
      const bottom = ((low[k] as number) - height) / (k - anchor)
      if (bottom > steepest) {
        ;[bend, bendHeight] = [highAt, high[highAt] as number]
        break
      }
      if (top < flattest) {
        ;[bend, bendHeight] = [lowAt, low[lowAt] as number]
        break
      }
      if (top <= steepest) [steepest, highAt] = [top, k]
      if (bottom >= flattest) [flattest, lowAt] = [bottom, k]
    }
    if (bend === -1) [bend, bendHeight] = [lowAt, low[lowAt] as number]
    const slope = (bendHeight - height) / (bend - anchor)
    for (let k = anchor; k < bend; k++) slopes[k] = slope
    anchor = bend
    height = bendHeight
  }
  return slopes
}

/** Asked for one start-up before they are needed. */
function startedInTime({ startUp }: Scenario, needed: Float64Array): Float64Array {
  const ahead = Math.ceil(startUp.mean * (1 + startUp.jitter)) + 1
  return needed.map((now, at) => {
    let most = now
    for (let later = at; later <= Math.min(needed.length - 1, at + ahead); later++) most = Math.max(most, needed[later] as number)
    return most
  })
}

/**
 * Whether any controller that does not know the future could keep the target. A reference controller shows it. It knows the present
 * load exactly, keeps a fifth to spare, and requests the maximum as soon as anything has waited for two seconds.
 */
export function runReference(scenario: Scenario, load: Load, seed: number): Run {
  const { scaling, service, slots } = scenario
  let panicUntil = 0
  return simulate(
    scenario,
    load,
    {
      every: 1,
      decide(view) {
        if (view.oldestAge > 2 || view.orphaned > 0) panicUntil = view.at + 60
        if (view.at < panicUntil) return scaling.maxReplicas
        const factor = service.changes.findLast((change) => view.at >= change.at)?.factor ?? 1
        const needed = Math.ceil((1.2 * intensityAt(scenario, view.at) * service.mean * factor) / slots)
        return Math.min(scaling.maxReplicas, Math.max(scaling.minReplicas, needed, view.pending > 0 ? 1 : 0))
      },
    },
    seed,
  )
}
