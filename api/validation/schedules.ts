/**
 * Checks of a schedule that no pattern can make: whether its cron fields can be read, whether they ever come true (31 February does
 * not), and whether its time zone exists. The cron fields are read as at run time (scaling/schedules.ts), but one by one, so that
 * the wrong one can be named.
 */
import { comesTrue, cronOf } from '../cron.ts'
import { isRecord, type Problem } from './problem.ts'

/** Names of the fields, and which values they take. */
const fields = [
  ['minute', '0 to 59'],
  ['hour', '0 to 23'],
  ['day of the month', '1 to 31, or L for the last'],
  ['month', '1 to 12 or jan to dec'],
  ['weekday', '0 to 7 or sun to sat'],
] as const

/** The letter h in a cron field. cron-parser replaces it by a random time, another one at each reading. */
const drawn = /(?:^|[^a-z])h(?:[^a-z]|$)/i

/** The problem of five cron fields; undefined: none. */
export function cronProblem(cron: string): string | undefined {
  const texts = cron.split(' ')
  if (texts.length !== fields.length) return 'write five cron fields, minute hour day month weekday, such as 0 8 * * 1-5'
  for (const [at, [name, values]] of fields.entries()) {
    const text = texts[at] ?? ''
    if (drawn.test(text) || cronOf(fields.map((_, other) => (other === at ? text : '*')).join(' ')) === undefined) {
      return `the ${name} ${JSON.stringify(text)} cannot be read: write *, values from ${values}, a range 1-5, a step */2, or a list of these in which none is twice`
    }
  }
  const read = cronOf(cron)
  return read !== undefined && comesTrue(read) ? undefined : `it never comes true: no month among those of ${cron} has such a day`
}

export function scheduleProblems(scaling: unknown): Problem[] {
  if (!isRecord(scaling) || !Array.isArray(scaling['schedules'])) return []
  return scaling['schedules'].flatMap((schedule: unknown, index) => {
    const { cron, timeZone } = isRecord(schedule) ? schedule : {}
    const at = (name: string) => `spec.scaling.schedules[${index}].${name}`
    const problems: Problem[] = []
    // The schema reports a value that does not even look like five cron fields.
    const detail = typeof cron === 'string' && hasForm(cron) ? cronProblem(cron) : undefined
    if (detail !== undefined) problems.push({ field: at('cron'), message: detail, beyondServer: true })
    if (typeof timeZone === 'string' && !isTimeZone(timeZone)) {
      const message = `${JSON.stringify(timeZone)} is no IANA time zone: write one such as Europe/Lisbon or UTC`
      problems.push({ field: at('timeZone'), message, beyondServer: true })
    }
    return problems
  })
}

const hasForm = (cron: string): boolean => /^[0-9A-Za-z*?,/#-]+( [0-9A-Za-z*?,/#-]+){4}$/.test(cron)

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined
  } catch {
    // RangeError is the only way Intl tells that it does not know a zone.
    return false
  }
}
