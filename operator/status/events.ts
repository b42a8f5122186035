/** Events that a change of status is worth: transitions of conditions, and scaling. Silence while nothing changes. */
import type { Condition, ConditionType, StreamPipelineStatus } from '../../api/status.ts'
import type { EventNote } from '../kubernetes/eventwriter.ts'
import { toneOf } from './reasons.ts'

/** Ready and Stalled repeat what these say. */
const reported: readonly ConditionType[] = [
  'Reconciled',
  'RedisReachable',
  'ConsumersAvailable',
  'ScalingActive',
  'Drained',
  'DataIntact',
]

export function eventsOf(before: StreamPipelineStatus | undefined, after: StreamPipelineStatus): readonly EventNote[] {
  const transitions = reported.flatMap((type) => {
    const note = transition(find(before, type), find(after, type))
    return note === undefined ? [] : [note]
  })
  return [...transitions, ...lostMore(before, after), ...becameReady(before, after), ...scaled(before, after)]
}

/** A further loss, while the condition stands: no transition would tell of it. */
function lostMore(before: StreamPipelineStatus | undefined, after: StreamPipelineStatus): EventNote[] {
  const [was, now] = [find(before, 'DataIntact'), find(after, 'DataIntact')]
  const more = (after.backlog?.lost ?? 0) - (before?.backlog?.lost ?? 0)
  if (was?.reason !== 'EntriesLost' || now?.reason !== 'EntriesLost' || more <= 0) return []
  return [{ type: 'Warning', reason: 'EntriesLost', action: 'CheckDataIntact', note: `${more} more entries: ${now.message}` }]
}

function find(status: StreamPipelineStatus | undefined, type: ConditionType): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type)
}

function transition(before: Condition | undefined, after: Condition | undefined): EventNote | undefined {
  if (after === undefined || (before?.status === after.status && before.reason === after.reason)) return undefined
  const tone = toneOf(after.reason)
  const wasBad = before !== undefined && toneOf(before.reason) === 'Bad'
  const { type, reason, message } = after
  switch (tone) {
    case 'Bad':
      return { type: 'Warning', reason, action: `Check${type}`, note: message }
    case 'Good':
    case 'Neutral':
      return wasBad ? { type: 'Normal', reason, action: `Check${type}`, note: message } : undefined
    case 'Underway':
      return undefined
    default:
      throw tone satisfies never
  }
}

function becameReady(before: StreamPipelineStatus | undefined, after: StreamPipelineStatus): EventNote[] {
  const now = find(after, 'Ready')
  if (now?.status !== 'True' || find(before, 'Ready')?.status === 'True') return []
  return [{ type: 'Normal', reason: 'Ready', action: 'CheckReady', note: now.message }]
}

function scaled(before: StreamPipelineStatus | undefined, after: StreamPipelineStatus): EventNote[] {
  const [from, to] = [before?.scaling?.desiredReplicas, after.scaling?.desiredReplicas]
  // A number that a person gave the Deployment, while the operator changes nothing, is no decision.
  const isDecided = before?.scaling?.decisions?.[0] !== after.scaling?.decisions?.[0]
  if (from === undefined || to === undefined || from === to || !isDecided) return []
  return [{ type: 'Normal', reason: 'Scaled', action: 'Scale', note: `${from} -> ${to}: ${after.scaling?.reason ?? ''}` }]
}
