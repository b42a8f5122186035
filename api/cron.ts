/** The five fields of a cron expression, as cron-parser reads them: which days they name, and which times of a day. */
import { CronExpressionParser } from 'cron-parser'

interface Cron {
  /** @param dayMs midnight at which the day begins, as if it were one of UTC */
  isDay(dayMs: number): boolean
  /** The last time of such a day up to `mostMs`; both in milliseconds after midnight. Undefined: all times are later. */
  lastTime(mostMs: number): number | undefined
}

const mostKnown = 1_000
const known = new Map<string, Cron | undefined>()

/** Undefined: it cannot be read. Validation reports that to its author. */
export function cronOf(expression: string): Cron | undefined {
  if (known.has(expression)) return known.get(expression)
  if (known.size >= mostKnown) known.clear()
  const cron = readCron(expression)
  known.set(expression, cron)
  return cron
}

const minuteMs = 60_000
const dayMs = 86_400_000
/** After so many days each date has met each weekday. */
const allDays = 28 * 366

/** Whether it names any day: 31 February does not exist. */
export function comesTrue(cron: Cron): boolean {
  const from = Date.UTC(2000, 0, 1)
  for (let day = 0; day < allDays; day++) if (cron.isDay(from + day * dayMs)) return true
  return false
}

function readCron(expression: string): Cron | undefined {
  let fields: ReturnType<typeof CronExpressionParser.parse>['fields']
  try {
    ;({ fields } = CronExpressionParser.parse(expression, { tz: 'UTC' }))
  } catch {
    // A resource may have been stored before its expressions were checked.
    return undefined
  }
  const { minute, hour, dayOfMonth, month, dayOfWeek } = fields
  const months = new Set<unknown>(month.values)
  const dates = new Set<unknown>(dayOfMonth.values)
  const weekdays = new Set<unknown>(dayOfWeek.values)
  /** Of forms such as 5L: the last Friday of a month. */
  const lastWeekdays = dayOfWeek.hasLastChar ? dayOfWeek.values.map((value) => Number.parseInt(String(value), 10) % 7) : []

  function isDay(atMs: number): boolean {
    const day = new Date(atMs)
    if (!months.has(day.getUTCMonth() + 1)) return false
    const [date, weekday] = [day.getUTCDate(), day.getUTCDay()]
    const isLastOf = (days: number) => new Date(atMs + days * dayMs).getUTCMonth() !== day.getUTCMonth()
    const isDate = dates.has(date) || (dayOfMonth.hasLastChar && isLastOf(1))
    const isNth = dayOfWeek.nthDay <= 0 || Math.ceil(date / 7) === dayOfWeek.nthDay
    const isWeekday = (weekdays.has(weekday) && isNth) || (lastWeekdays.includes(weekday) && isLastOf(7))
    if (dayOfWeek.isWildcard) return isDate
    return dayOfMonth.isWildcard ? isWeekday : isDate || isWeekday
  }

  const [hours, minutes] = [hour.values, minute.values].map((values) => values.toSorted((a, b) => b - a)) as [number[], number[]]

  function lastTime(mostMs: number): number | undefined {
    for (const atHour of hours) {
      const atMinute = minutes.find((at) => (atHour * 60 + at) * minuteMs <= mostMs)
      if (atMinute !== undefined) return (atHour * 60 + atMinute) * minuteMs
    }
    return undefined
  }

  return { isDay, lastTime }
}
