/** The sample that stands when a look fails. */
import type { Observation } from '../plan/observed.ts'

export type Made = Exclude<Observation, { kind: 'None' }>

/** @param before the last observation of the same stream; undefined: none */
export function lastSample(before: Made | undefined): Pick<Extract<Observation, { kind: 'Failed' }>, 'sample' | 'sampleAtMs'> {
  if (before?.sample === undefined) return {}
  const atMs = before.kind === 'Seen' ? before.atMs : before.sampleAtMs
  return { sample: before.sample, ...(atMs === undefined ? {} : { sampleAtMs: atMs }) }
}
