/**
 * When a status is worth a write. Nothing changed: never. Something that matters changed (a condition, replicas, a decision):
 * at once. Only numbers and wordings changed: at most every `numbersEveryMs`, or a busy pipeline would write on every look.
 */
import type { StreamPipelineStatus } from '../../api/status.ts'
import { covers } from '../kubernetes/drift.ts'

export type StatusDue =
  | { readonly kind: 'Never' }
  | { readonly kind: 'Now' }
  | { readonly kind: 'Later'; readonly afterMs: number }

export function statusDue(
  before: StreamPipelineStatus | undefined,
  after: StreamPipelineStatus,
  writtenMs: number | undefined,
  numbersEveryMs: number,
  nowMs: number,
): StatusDue {
  if (isSame(before ?? {}, after)) return { kind: 'Never' }
  if (!isSame(material(before ?? {}), material(after))) return { kind: 'Now' }
  const afterMs = (writtenMs ?? Number.NEGATIVE_INFINITY) + numbersEveryMs - nowMs
  return afterMs <= 0 ? { kind: 'Now' } : { kind: 'Later', afterMs }
}

const isSame = (one: unknown, other: unknown): boolean => covers(one, other) && covers(other, one)

function material(status: StreamPipelineStatus): unknown {
  return {
    observedGeneration: status.observedGeneration,
    replicas: status.replicas,
    readyReplicas: status.readyReplicas,
    selector: status.selector,
    desiredReplicas: status.scaling?.desiredReplicas,
    conditions: (status.conditions ?? []).map(({ type, status: value, reason }) => [type, value, reason]),
  }
}
