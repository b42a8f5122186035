/**
 * Schedules around the changes of clocks, minute by minute, against clocks on a wall. The clocks are read from Intl as text. A window
 * begins in the minute in which the clock first shows its time, or jumps over it.
 */
import type { CompiledSchedule } from '../../api/compiled.ts'
import { isActive } from '../../scaling/schedules.ts'

const minuteMs = 60_000
const dayMs = 86_400_000

export interface Random {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
}

export const zones: readonly string[] = Intl.supportedValuesOf('timeZone')

/** Shows a local time as if it were one of UTC. */
function wallClock(timeZone: string): (atMs: number) => number {
  const format = new Intl.DateTimeFormat('en', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  return (atMs) => {
    const [month, day, year, hour, minute] = [...format.format(atMs).matchAll(/\d+/g)].map(Number)
    return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute)
  }
}

/** The minutes from which clocks of a zone show another offset, in these years. */
export function turnsOf(timeZone: string, fromYear: number, years: number): number[] {
  const clock = wallClock(timeZone)
  const offset = (atMs: number) => clock(atMs) - atMs
  const turns: number[] = []
  const untilMs = Date.UTC(fromYear + years, 0, 1)
  for (let atMs = Date.UTC(fromYear, 0, 1); atMs < untilMs; atMs += dayMs) {
    if (offset(atMs) === offset(atMs + dayMs)) continue
    let [early, late] = [atMs, atMs + dayMs]
    while (late - early > minuteMs) {
      const middle = Math.floor((early + late) / 2 / minuteMs) * minuteMs
      if (offset(middle) === offset(early)) early = middle
      else late = middle
    }
    turns.push(late)
  }
  return turns
}

interface Drawn {
  readonly schedule: CompiledSchedule
  /** Minutes after midnight. */
  readonly times: ReadonlySet<number>
  readonly weekdays: ReadonlySet<number>
}

const pick = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T

/** Mostly of hours in which clocks are changed. */
function draw(random: Random, timeZone: string): Drawn {
  const few = (most: number, limit: number) => [
    ...new Set(Array.from({ length: 1 + random.below(most) }, () => random.below(limit))),
  ]
  const minutes = pick(random, [[0], [30], few(3, 60), Array.from({ length: 60 }, (_, i) => i)])
  const hours = pick(random, [few(2, 4), few(3, 24), [0], [23, 0], Array.from({ length: 24 }, (_, i) => i)])
  const weekdays = pick(random, [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6], few(4, 7)])
  const forMs = pick(random, [1, 5, 45, 60, 90, 600, 1_500]) * minuteMs
  const list = (values: readonly number[]) => values.toSorted((a, b) => a - b).join(',')
  const cron = `${list(minutes)} ${list(hours)} * * ${weekdays.length === 7 ? '*' : list(weekdays)}`
  return {
    schedule: { cron, timeZone, forMs, minReplicas: 1 },
    times: new Set(hours.flatMap((hour) => minutes.map((minute) => hour * 60 + minute))),
    weekdays: new Set(weekdays),
  }
}

/** @returns the first minute at which the schedule is not as the wall clock has it; undefined: there is none */
export function problemAround(turnMs: number, timeZone: string, random: Random): string | undefined {
  const clock = wallClock(timeZone)
  const { schedule, times, weekdays } = draw(random, timeZone)
  let shown = clock(turnMs - 2 * dayMs)
  let begunMs: number | undefined
  for (let atMs = turnMs - 2 * dayMs + minuteMs; atMs <= turnMs + 1.5 * dayMs; atMs += minuteMs) {
    const now = clock(atMs)
    for (let local = shown + minuteMs; local <= now; local += minuteMs) {
      const day = new Date(local)
      if (times.has(day.getUTCHours() * 60 + day.getUTCMinutes()) && weekdays.has(day.getUTCDay())) begunMs = atMs
    }
    shown = Math.max(shown, now)
    const expected = begunMs !== undefined && atMs - begunMs < schedule.forMs
    // Before the first beginning seen here, an earlier one may last.
    if (atMs < turnMs - 2 * dayMs + schedule.forMs) continue
    if (isActive(schedule, atMs) !== expected) {
      const { cron, forMs } = schedule
      return `${cron} ${timeZone} for ${forMs / minuteMs} min at ${new Date(atMs).toISOString()}: expected ${expected}`
    }
  }
  return undefined
}
