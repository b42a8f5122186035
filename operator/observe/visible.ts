/**
 * The part of an observation that status shows, as one text. While this text stays equal, status would read the same. So an idle
 * pipeline is not reconciled at each look.
 */
import type { Observation } from '../plan/observed.ts'
import { isQueueFull } from '../queuefull.ts'
import { roundAge, roundCount } from '../rounding.ts'

export function visible(observation: Observation, nowMs: number, quietMs: number, maxWaiting: number): string {
  if (observation.kind === 'None') return ''
  const { decision, sample } = observation
  return JSON.stringify([
    observation.kind,
    observation.generation,
    observation.kind === 'Failed' ? observation.error.message : nowMs - (observation.quietSinceMs ?? nowMs) >= quietMs,
    decision.replicas,
    decision.limitedBy,
    observation.kind === 'Seen' && [
      decision.reason,
      observation.refusal?.message,
      observation.wakesLate?.message,
      observation.sample.queuePaused,
    ],
    sample && [sample.undelivered, sample.pending, sample.quarantined, sample.deadLetters, sample.lost].map(roundCount),
    sample?.missing,
    sample?.pin?.id,
    sample && isQueueFull(sample, maxWaiting),
    sample && roundAge(sample.oldestAgeMs),
    sample?.consumers.map(({ name, heartbeat }) => [name, heartbeat !== undefined]),
    observation.kind === 'Seen' &&
      observation.vanished.map(({ name, pending, release }) => [name, roundCount(pending), release.kind]),
  ])
}
