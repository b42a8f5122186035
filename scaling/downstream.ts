/**
 * Whether something behind the consumers is the limit: a service they share, a database, the queue. Then more of them only wait
 * longer in front of it, and fewer would do as much. Nothing reports that, so the scaler tries it out, as a person would:
 *
 * - Watching: while entries wait for long, the throughput is measured at each number of ready replicas. Something behind them may be the
 *   limit in three cases. An increase of the replicas by half or more brought less than a quarter of the expected throughput. Or the
 *   replicas fall behind, although so many would suffice at their best speed. Or the queue is full. Then: Trimming.
 * - Trimming: a quarter of the replicas goes, and the throughput is measured again, and so on until a cut costs throughput. Where the
 *   first cut already costs more than 15 % of the throughput, jobs have merely become heavier: back to Watching, quietly for a while. If
 *   a later cut costs something, replicas were the limit just then, and the speed of a single one is known. The state is then Held, with
 *   as many replicas as the limit needs, and 15 % more.
 * - Held: nothing grows beyond that. The 15 % are idle while the limit lasts. Once clearly more gets through, the limit is gone:
 *   Watching. Jobs may also have become heavier, which Held cannot see. So Probing comes after twenty minutes, then every eighty; after
 *   five if only the first cut was made.
 * - Probing: 15 % more, to see whether they bring anything by now. If they do, Watching; if not, Held again, for four times as long.
 *
 * Once nothing waits any more, whatever the state, it is Watching. The lesson of a sample counts from the next decision on.
 */
import type { Capacity } from './capacity.ts'
import type { ScalingPolicy } from './policy.ts'
import { readyOf, type Sample } from './sample.ts'
import { settledBy } from './service.ts'

/** Throughput at a number of ready replicas, over a stretch in which entries waited all the time. */
interface Level {
  readonly atMs: number
  readonly ready: number
  readonly perSecond: number
  /** How many were counted. */
  readonly entries: number
}

/** A level in the making. Counting starts anew when replicas have come or gone. */
interface Window {
  readonly sinceMs: number
  readonly ready: number
  readonly entries: number
  /** The queue was full: then what is added to it is not yet done. */
  readonly full: boolean
  /** Jobs that waited in it at the beginning. */
  readonly queued: number
}

interface Remembered {
  readonly window?: Window
  /** Entries per second of one replica when it was fastest. */
  readonly best?: number
}

export type Downstream = Remembered &
  (
    | { readonly kind: 'Watching'; readonly levels: readonly Level[]; readonly quietUntilMs?: number }
    | {
        readonly kind: 'Trimming'
        readonly replicas: number
        readonly perSecond: number
        readonly before: number
        readonly cuts: number
      }
    | {
        readonly kind: 'Held'
        readonly replicas: number
        readonly perSecond: number
        readonly sinceMs: number
        readonly waitMs: number
        /** Entries per second of one replica that waits for nothing; absent: not known. */
        readonly alone?: number
      }
    | {
        readonly kind: 'Probing'
        readonly replicas: number
        readonly perSecond: number
        readonly before: number
        readonly waitMs: number
        readonly alone?: number
      }
  )

export const watching: Downstream = { kind: 'Watching', levels: [] }

const leastSpanMs = 20_000
const longestSpanMs = 300_000
/** A count of so many is right within a tenth. */
const enoughEntries = 100
const levelsKept = 12
const levelsForMs = 900_000
/** How many more replicas make two levels comparable, and what share of the growth they must at least have brought. */
const comparable = 1.5
const leastGain = 0.25
/**
 * `nothing`: the loss that a cut by a quarter may show by chance. `tooMuch`: if the first cut loses more than this, the removed
 * replicas were useful after all.
 */
const nothing = 0.1
const tooMuch = 0.15
const unsureWaitMs = 300_000
const firstWaitMs = 1_200_000
export const longestWaitMs = 4_800_000
const probeBy = 0.15
/** Held is looked at for longer: it is a few per cent that tell, and nothing is urgent. */
const manyEntries = 10_000
/** Standard deviations of a count that may be chance. */
const chance = 3
/** The share of the queue's limit from which it counts as full: consumers pause at the limit, so it never stays above. */
const fullShare = 0.9

export const isQueueFull = (sample: Sample, policy: ScalingPolicy): boolean =>
  sample.queueWaiting >= fullShare * policy.maxWaiting

/** The most replicas that are of use; undefined while nothing is known to limit them. */
export const usefulReplicas = (downstream: Downstream): number | undefined =>
  downstream.kind === 'Watching' ? undefined : downstream.replicas

interface Evidence {
  readonly sample: Sample
  readonly previousMs: number | undefined
  /** As it was before this sample: its marks are where consumers' counters stood. */
  readonly capacity: Capacity
  /** Arrivals per second. */
  readonly arrivals: number
  /** The rate that one replica is thought to clear per second. */
  readonly perReplica: number | undefined
  readonly policy: ScalingPolicy
}

export function learnDownstream(downstream: Downstream, evidence: Evidence): Downstream {
  const { sample, policy } = evidence
  const full = isQueueFull(sample, policy)
  const best = bestSpeed(downstream, evidence)
  const known = best === undefined ? downstream : { ...downstream, best }
  if (sample.undeliveredAgeMs <= policy.targetAgeMs / (downstream.kind === 'Watching' ? 2 : 4) && !full) {
    const { window: _, ...rest } = known
    return rest.kind === 'Watching' ? rest : { ...watching, ...(best === undefined ? {} : { best }) }
  }
  const window = extended(downstream.window, evidence, full)
  const level = completed(window, sample, known.kind === 'Held' ? manyEntries : enoughEntries)
  if (level === undefined) return overdue({ ...known, window }, sample.atMs)
  const { window: _, ...rest } = known
  const next = judged(rest, level, full, evidence.arrivals)
  return best === undefined || next.best !== undefined ? next : { ...next, best }
}

/** The most one replica was ever seen to do, slowly forgotten: half of it in an hour of looks every five seconds. */
function bestSpeed({ best }: Downstream, { sample, perReplica }: Evidence): number | undefined {
  let settled = 0
  for (const { heartbeat } of sample.consumers) if (heartbeat !== undefined) settled += settledBy(heartbeat)
  const speed = settled < enoughEntries ? undefined : perReplica
  if (best === undefined || speed === undefined) return best ?? speed
  return Math.max(best * 0.999, speed)
}

/** A value that no number of ready replicas equals. The next look therefore begins a new window. */
const noneReady = -1

function extended(window: Window | undefined, { sample, capacity, previousMs }: Evidence, full: boolean): Window {
  const ready = readyOf(sample)
  // Consumers that leave still settle what they hold, and end before a heartbeat shows the last of it.
  const leaving = sample.consumers.some(({ heartbeat }) => heartbeat?.state === 'Draining')
  if (leaving) return { sinceMs: sample.atMs, ready: noneReady, entries: 0, full, queued: sample.queueWaiting }
  if (window === undefined || window.ready !== ready || window.full !== full || previousMs === undefined) {
    return { sinceMs: sample.atMs, ready, entries: 0, full, queued: sample.queueWaiting }
  }
  let perMs = 0
  for (const { heartbeat } of sample.consumers) {
    const before = heartbeat === undefined ? undefined : capacity.marks[heartbeat.uid]
    if (heartbeat === undefined || before === undefined || heartbeat.at <= before.atMs) continue
    perMs += Math.max(0, settledBy(heartbeat) - before.settled) / (heartbeat.at - before.atMs)
  }
  return { ...window, entries: window.entries + perMs * (sample.atMs - previousMs) }
}

function completed({ sinceMs, ready, entries, full, queued }: Window, sample: Sample, enough: number): Level | undefined {
  const { atMs, queueWaiting } = sample
  const spanMs = atMs - sinceMs
  if (ready === 0 || spanMs < leastSpanMs || (entries < enough && spanMs < longestSpanMs)) return undefined
  const done = full ? Math.max(0, entries - (queueWaiting - queued)) : entries
  return { atMs, ready, perSecond: (done * 1000) / spanMs, entries: done }
}

/** Held ends by the clock, not by a measurement. */
function overdue(downstream: Downstream, atMs: number): Downstream {
  if (downstream.kind !== 'Held' || atMs - downstream.sinceMs < downstream.waitMs) return downstream
  const { replicas, perSecond, waitMs, best, alone } = downstream
  const known = { ...(best === undefined ? {} : { best }), ...(alone === undefined ? {} : { alone }) }
  return { ...known, kind: 'Probing', replicas: Math.ceil(replicas * (1 + probeBy)), perSecond, before: replicas, waitMs }
}

function judged(downstream: Downstream, level: Level, full: boolean, arrivals: number): Downstream {
  switch (downstream.kind) {
    case 'Watching': {
      const quiet = downstream.quietUntilMs !== undefined && level.atMs < downstream.quietUntilMs
      if (
        !quiet &&
        level.ready > 1 &&
        (full || isUseless(level, downstream.levels) || isSlowed(level, downstream.best, arrivals))
      )
        return cut(level.ready, level.perSecond, 1)
      const levels = downstream.levels.filter(({ atMs }) => level.atMs - atMs <= levelsForMs)
      return { ...downstream, levels: [...levels, level].slice(-levelsKept) }
    }
    case 'Trimming': {
      const { replicas, perSecond, cuts } = downstream
      // Not there yet: replicas follow the cap a step at a time.
      if (level.ready > replicas) return downstream
      const lost = 1 - level.perSecond / perSecond
      // Where nothing gets through any more, neither the replicas nor the limit are the reason.
      if (lost > tooMuch && (cuts === 1 || level.perSecond === 0))
        return { kind: 'Watching', levels: [level], quietUntilMs: level.atMs + unsureWaitMs, best: level.perSecond / level.ready }
      if (lost > nothing) return held(level, perSecond, cuts)
      if (level.ready <= 1) return { kind: 'Held', replicas, perSecond, sinceMs: level.atMs, waitMs: firstWaitMs }
      return cut(level.ready, Math.max(perSecond, level.perSecond), cuts + 1)
    }
    case 'Held':
      return isLifted(downstream, level) ? { kind: 'Watching', levels: [level] } : overdue(downstream, level.atMs)
    case 'Probing': {
      const { replicas, perSecond, before, waitMs, alone } = downstream
      if (level.ready < replicas) return downstream
      const gain = level.perSecond / perSecond - 1
      if (gain > (replicas / before - 1) / 2) return { kind: 'Watching', levels: [level] }
      const known = alone === undefined ? {} : { alone }
      return {
        ...known,
        kind: 'Held',
        replicas: before,
        perSecond,
        sinceMs: level.atMs,
        waitMs: Math.min(longestWaitMs, 4 * waitMs),
      }
    }
    default:
      return downstream satisfies never
  }
}

const cut = (ready: number, perSecond: number, cuts: number): Downstream => ({
  kind: 'Trimming',
  replicas: ready - Math.max(1, Math.floor(ready / 4)),
  perSecond,
  before: ready,
  cuts,
})

/** @param level measured with so few replicas that they were the limit themselves */
function held(level: Level, perSecond: number, cuts: number): Downstream {
  const alone = level.perSecond / level.ready
  const replicas = Math.max(level.ready + 1, Math.ceil(((1 + probeBy) * perSecond) / alone))
  return { kind: 'Held', replicas, perSecond, alone, sinceMs: level.atMs, waitMs: cuts === 1 ? unsureWaitMs : firstWaitMs }
}

/** Whether replicas that idled because of the limit work again: a gain of half their capacity is more than chance. */
function isLifted({ perSecond, alone }: { readonly perSecond: number; readonly alone?: number }, level: Level): boolean {
  if (alone === undefined) return false
  const surely = level.perSecond * (1 - chance / Math.sqrt(level.entries))
  return surely > (perSecond + Math.max(perSecond, level.ready * alone)) / 2 && level.ready * alone > perSecond
}

/**
 * Compares with the last level that had clearly fewer replicas. If the load or the jobs changed, that level was probably measured
 * after the change.
 */
function isUseless(level: Level, levels: readonly Level[]): boolean {
  const fewer = levels.findLast(({ ready }) => level.ready >= comparable * ready)
  if (fewer === undefined) return false
  const expected = level.ready / fewer.ready - 1
  return level.perSecond / fewer.perSecond - 1 < leastGain * expected
}

/** How much slower than at its best a replica must be. */
const slowed = 1.67

/** Replicas do not catch up, though at their best so many would: jobs are heavier now, or wait for something. A cut tells. */
function isSlowed(level: Level, best: number | undefined, arrivals: number): boolean {
  if (best === undefined || level.perSecond >= arrivals) return false
  return level.ready * best > slowed * level.perSecond && level.ready * best > arrivals
}
