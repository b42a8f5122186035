/**
 * Schedules: times at which other bounds hold. One begins whenever its cron expression says, in its time zone, and lasts for
 * `for`. Where several are active the larger bound holds; a minimum above the maximum in force raises that, too.
 */
import { CronExpressionParser } from 'cron-parser'
import type { CompiledSchedule } from '../api/compiled.ts'

export interface ScheduledBounds {
  readonly min: number
  readonly max: number
  /** What is in force, for the reason; absent: nothing is. */
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

export function isActive({ cron, timeZone, forMs }: CompiledSchedule, atMs: number): boolean {
  const begun = lastBeginning(cron, timeZone, atMs)
  return begun !== undefined && atMs - begun < forMs
}

/** Between two beginnings the answer is the same, and working it out takes longer than a whole decision. */
interface Known {
  readonly fromMs: number
  readonly untilMs: number
}
const known = new Map<string, Known>()
const mostKnown = 20_000
/** The search for a time that never comes runs to its limit, which may take a second. It does not run at each look. */
const vainForMs = 3_600_000
const inVain = new Map<string, number>()

/** Undefined where the expression never comes true, such as 31 February, or cannot be read; validation tells its author. */
function lastBeginning(cron: string, timeZone: string, atMs: number): number | undefined {
  const name = `${timeZone} ${cron}`
  const held = known.get(name)
  if (held !== undefined && atMs >= held.fromMs && atMs < held.untilMs) return held.fromMs
  const vainMs = inVain.get(name)
  if (vainMs !== undefined && Math.abs(atMs - vainMs) < vainForMs) return undefined
  inVain.delete(name)
  try {
    const fromMs = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(atMs + 1) })
      .prev()
      .getTime()
    const untilMs = CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(atMs) })
      .next()
      .getTime()
    if (known.size >= mostKnown) known.clear()
    known.set(name, { fromMs, untilMs })
    return fromMs
  } catch {
    // decide must not fail on a resource that was stored before it was checked: such a schedule never begins.
    if (inVain.size >= mostKnown) inVain.clear()
    inVain.set(name, atMs)
    return undefined
  }
}
