/** Numbers in status are for people. Exact numbers change all the time, and each change would be a write. Exact values are metrics. */
import { formatAge } from '../api/duration.ts'

/** Exact up to 100, then three digits that count: 12,345 → 12,300. */
export function roundCount(count: number): number {
  if (count <= 100) return Math.max(0, Math.round(count))
  const step = 10 ** Math.max(0, Math.floor(Math.log10(count)) - 2)
  return Math.round(count / step) * step
}

/** `12s`, `2m00s`: whole seconds up to a minute, then steps of ten seconds, from ten minutes on whole minutes. */
export function roundAge(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000)
  const step = seconds < 60 ? 1 : seconds < 600 ? 10 : 60
  return formatAge(Math.floor(seconds / step) * step * 1000)
}
