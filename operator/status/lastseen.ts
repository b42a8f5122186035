/** Numbers of a failed look are those of the last look that worked. The status gives the time of that look. */
import type { Observation } from '../plan/observed.ts'

/** `2026-11-22T16:00:00Z`; undefined: the numbers are of the last look, or there are none. */
export function lastSeen(look: Observation): string | undefined {
  if (look.kind !== 'Failed' || look.sample === undefined || look.sampleAtMs === undefined) return undefined
  return new Date(look.sampleAtMs).toISOString().replace(/\.\d+Z$/, 'Z')
}
