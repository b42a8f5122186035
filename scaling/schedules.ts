/**
 * Schedules: times at which other bounds hold. One begins at the local times that its cron expression names, in its time zone, and lasts
 * for `for`, as time elapses. At a change of clocks it begins as zonetime.ts has it: in the skipped hour at the first instant after, in
 * the repeated hour once. Where several are active the larger bound holds; a minimum above the maximum in force raises that, too.
 *
 * The search for the last beginning goes back little further than `for`, however seldom an expression comes true.
 */
import type { CompiledSchedule } from '../api/compiled.ts'
import { cronOf } from '../api/cron.ts'
import { firstInstant, latestShown, zoneOf } from './zonetime.ts'

export interface ScheduledBounds {
  readonly min: number
  readonly max: number
  /** The schedule in force, for the reason; absent: none. */
  readonly schedule?: string
}

export function scheduledBounds(schedules: readonly CompiledSchedule[], base: ScheduledBounds, atMs: number): ScheduledBounds {
  const active = schedules.filter((schedule) => isActive(schedule, atMs))
  const [first] = active
  if (first === undefined) return base
  const least = active.flatMap(({ minReplicas }) => minReplicas ?? [])
  const most = active.flatMap(({ maxReplicas }) => maxReplicas ?? [])
  const min = least.length === 0 ? base.min : Math.max(...least)
  const max = most.length === 0 ? base.max : Math.max(...most)
  return { min, max: Math.max(min, max), schedule: `${first.cron} ${first.timeZone}` }
}

const minuteMs = 60_000
const dayMs = 86_400_000
/** Clocks are at most so far from UTC. */
const farthestMs = 14 * 3_600_000

/** Schedules begin with a minute, so within one the answer is the same. */
interface Known {
  readonly minute: number
  readonly begunMs: number | undefined
}
const known = new WeakMap<CompiledSchedule, Known>()

/** False where the expression or the zone cannot be read: `decide` must not fail on a resource that was stored before it was checked. */
export function isActive(schedule: CompiledSchedule, atMs: number): boolean {
  const minute = Math.floor(atMs / minuteMs)
  const held = known.get(schedule)
  const begunMs = held?.minute === minute ? held.begunMs : lastBeginning(schedule, minute * minuteMs)
  if (held?.minute !== minute) known.set(schedule, { minute, begunMs })
  return begunMs !== undefined && atMs - begunMs < schedule.forMs
}

/** The last beginning up to that instant; undefined: there was none within `for`. */
function lastBeginning({ cron: expression, timeZone, forMs }: CompiledSchedule, atMs: number): number | undefined {
  const [cron, zone] = [cronOf(expression), zoneOf(timeZone)]
  if (cron === undefined || zone === undefined) return undefined
  const latestMs = latestShown(zone, atMs)
  const oldestMs = atMs - forMs - farthestMs - dayMs
  for (let day = Math.floor(latestMs / dayMs) * dayMs; day >= oldestMs; day -= dayMs) {
    if (!cron.isDay(day)) continue
    const time = cron.lastTime(latestMs - day)
    if (time !== undefined) return firstInstant(zone, day + time)
  }
  return undefined
}
