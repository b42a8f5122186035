/** Numbers as the table shows them. */
import { formatAge } from '../api/duration.ts'

/** `12,034` */
export const grouped = (n: number): string => Math.round(n).toLocaleString('en-US')

/** `0.4s`, `9.8s`, `41s`, `2m04s`: tenths only below ten seconds. */
export const age = (ms: number): string => (ms < 9_950 ? `${(ms / 1000).toFixed(1)}s` : formatAge(ms))
