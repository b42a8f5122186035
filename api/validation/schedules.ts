/**
 * What no pattern can tell of a schedule: whether its cron fields can be read, whether they ever come true (31 February does not),
 * and whether its time zone exists. The dialect is the one that is evaluated (cron-parser, in scaling/schedules.ts), less its
 * rarer inventions; a test holds the two together. It is read here anew because consumers check resources, too, and would
 * otherwise load a calendar that they never use.
 */
import { isRecord, type Problem } from './problem.ts'

interface Field {
  readonly name: string
  readonly least: number
  readonly most: number
  /** Names of values, from `least` on. */
  readonly names?: readonly string[]
  /** `?`, for any. */
  readonly mayBeOpen?: true
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

const fields = [
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day of the month', least: 1, most: 31, mayBeOpen: true },
  { name: 'month', least: 1, most: 12, names: months },
  { name: 'weekday', least: 0, most: 7, names: weekdays, mayBeOpen: true },
] as const satisfies readonly Field[]

const longestMonths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

const isAny = (text: string | undefined): boolean => text === '*' || text === '?'

/** What is wrong with five cron fields; undefined: nothing. */
export function cronProblem(cron: string): string | undefined {
  const texts = cron.split(' ')
  if (texts.length !== fields.length) return 'write five cron fields, minute hour day month weekday, such as 0 8 * * 1-5'
  const values: number[][] = []
  for (const [at, field] of fields.entries()) {
    const read = valuesOf(texts[at] ?? '', field)
    if (typeof read === 'string') return read
    values.push(read)
  }
  const [, , days = [], inMonths = []] = values
  // Where both days are given either will do.
  const byDate = !isAny(texts[2]) && isAny(texts[4]) && texts[2] !== 'L'
  const comesTrue = !byDate || inMonths.some((month) => days.some((day) => day <= (longestMonths[month - 1] ?? 0)))
  return comesTrue ? undefined : `it never comes true: no month among those of ${cron} has such a day`
}

/** The values a field stands for, or what is wrong with it. */
function valuesOf(text: string, field: Field): number[] | string {
  if (text === '?' && field.mayBeOpen) return range(field.least, field.most, 1)
  if (text === 'L' && field.name === 'day of the month') return [field.most]
  const values: number[] = []
  for (const item of text.split(',')) {
    const read = itemOf(item.toLowerCase(), field)
    if (typeof read === 'string') return read
    const twice = read.find((value) => values.includes(value))
    if (twice !== undefined) return `the ${field.name} ${JSON.stringify(text)} names ${twice} twice`
    values.push(...read)
  }
  return values
}

/** `*`, `5`, `mon`, `1-5`, each with or without a step `/2`. */
function itemOf(item: string, field: Field): number[] | string {
  const { name, least, most } = field
  const wrong = (detail: string) => `the ${name} ${JSON.stringify(item)} ${detail}`
  const match = /^(?:(\*)|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:\/([0-9]+))?$/.exec(item)
  if (match === null) return wrong('cannot be read: write *, a value, a range 1-5, a step */15 or a list of these')
  const [, any, first, last, by] = match
  const step = by === undefined ? 1 : Number(by)
  if (step < 1 || step > most) return wrong(`has a step outside 1 to ${most}`)
  if (any !== undefined) return range(least, most, step)
  const from = oneOf(first ?? '', field)
  const to = last === undefined ? (by === undefined ? from : most) : oneOf(last, field)
  if (from === undefined || to === undefined) {
    const named = field.names === undefined ? '' : `, or one of ${field.names.join(', ')}`
    return wrong(`is no value from ${least} to ${most}${named}`)
  }
  return from > to ? wrong('runs backwards') : range(from, to, step)
}

function oneOf(text: string, { least, most, names = [] }: Field): number | undefined {
  const named = names.indexOf(text)
  const value = named === -1 ? (/^[0-9]{1,2}$/.test(text) ? Number(text) : Number.NaN) : named + least
  return value >= least && value <= most ? value : undefined
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, n) => from + n * step)
}

export function scheduleProblems(scaling: unknown): Problem[] {
  if (!isRecord(scaling) || !Array.isArray(scaling['schedules'])) return []
  return scaling['schedules'].flatMap((schedule: unknown, index) => {
    const { cron, timeZone } = isRecord(schedule) ? schedule : {}
    const at = (name: string) => `spec.scaling.schedules[${index}].${name}`
    const problems: Problem[] = []
    // What has not even the form is told by the schema.
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
