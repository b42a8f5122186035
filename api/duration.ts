/**
 * Durations in Gateway API's form (GEP-2257): up to four `number unit` pairs, units h, m, s, ms, in any order, no fractions,
 * no sign, no days: `500ms`, `30s`, `1h30m`. Inside the program a duration is a number whose name ends in `Ms`.
 */

/** GEP-2257's pattern; also the CEL rule of every duration field. */
export const durationPattern = '^([0-9]{1,5}(h|m|s|ms)){1,4}$'

const unitMs = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const

/** Milliseconds, or undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  if (!new RegExp(durationPattern).test(text)) return undefined
  let total = 0
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) total += Number(count) * unitMs[unit as keyof typeof unitMs]
  return total
}

/** `90000` → `1m30s`; fractions of a millisecond are rounded; `0` → `0s`. Up to 99999h59m it parses back to the same number. */
export function formatDuration(ms: number): string {
  let rest = Math.max(0, Math.round(ms))
  let text = ''
  for (const unit of ['h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(rest / unitMs[unit])
    if (count > 0) text += `${count}${unit}`
    rest -= count * unitMs[unit]
  }
  return text === '' ? '0s' : text
}

/** For people: at most two units, nothing below a second once there are seconds: `41s`, `2m04s`, `1h05m`, `3d02h`. */
export function formatAge(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000)
  const two = (n: number) => String(n).padStart(2, '0')
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${two(seconds % 60)}s`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours}h${two(minutes % 60)}m`
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`
}
