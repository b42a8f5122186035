/** A pod without a node. */
import type { PodObject } from '../../plan/observed.ts'
import type { Finding } from './finding.ts'

export function isScheduled({ spec, status }: PodObject): boolean {
  if (spec?.nodeName !== undefined || (status?.containerStatuses ?? []).length > 0) return true
  return status?.conditions?.some(({ type, status: value }) => type === 'PodScheduled' && value === 'True') === true
}

/** The default scheduler reports within a second or two. */
const silentForMs = 60_000

export function schedulingProblem({ metadata, spec, status }: PodObject, nowMs: number): Finding | undefined {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  if (scheduled?.status === 'False') {
    const detail = [scheduled.message, scheduled.reason].find((text) => text !== undefined && text !== '') ?? 'not scheduled'
    if (scheduled.reason === 'SchedulingGated') {
      const remedy = 'Have the controller that added the scheduling gate remove it, or correct the policy that adds it'
      return { reason: 'Unschedulable', detail, remedy }
    }
    const remedy = "Make room, or lower spec.consumer.resources and its placement's demands"
    return { reason: 'Unschedulable', detail, remedy }
  }
  if (scheduled !== undefined || spec?.nodeName !== undefined || status?.phase !== 'Pending') return undefined
  const madeMs = Date.parse(metadata.creationTimestamp ?? '')
  if (!(nowMs - madeMs >= silentForMs)) return undefined
  const detail = `no scheduler has looked at it for a minute (schedulerName ${spec?.schedulerName ?? 'default-scheduler'})`
  return { reason: 'Unschedulable', detail, remedy: 'Check that a scheduler of that name runs' }
}
