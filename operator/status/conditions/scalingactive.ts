/** Whether replicas follow the age of the backlog. */
import { printableName } from '../../../api/printable.ts'
import { isPaused, reconcileAnnotation } from '../../plan/names.ts'
import { isQueueFull } from '../../queuefull.ts'
import { roundCount } from '../../rounding.ts'
import type { Facts } from '../facts.ts'
import { type Checks, failed, type Verdict, verdict } from './verdict.ts'

export const scalingActiveChecks: Checks = [
  {
    name: 'the spec is unsound',
    says: ({ observed: { spec } }) => (spec.kind === 'Unsound' ? failed(spec.error) : undefined),
  },
  {
    name: 'reconciling is disabled',
    says({ observed: { object } }) {
      if (!isPaused(object)) return undefined
      const text = `the annotation ${reconcileAnnotation}: disabled is set, so the number of consumers stays as it is`
      return verdict('False', 'ReconcileDisabled', `${text}. Remove it to have the pipeline scaled`)
    },
  },
  {
    name: 'suspended',
    says: (facts) =>
      pipelineOf(facts)?.suspend === true ? verdict('False', 'Suspended', 'spec.suspend is true: no consumer runs') : undefined,
  },
  { name: 'by hand', says: byHand },
  { name: 'Redis cannot be asked', says: unasked },
  { name: 'the queue takes nothing', says: heldQueue },
  {
    name: 'Direct',
    says: (facts) =>
      pipelineOf(facts)?.mode === 'Direct'
        ? verdict('True', 'DirectMode', 'mode is Direct: consumers are kept until the stream is settled')
        : undefined,
  },
  { name: 'entries do not wake it', says: wakesLate },
  { name: 'it does', says: () => verdict('True', 'ScalingOnAge', 'Replicas follow the age of the backlog') },
]

function pipelineOf({ observed: { spec } }: Facts) {
  return spec.kind === 'Sound' ? spec.pipeline : undefined
}

function byHand(facts: Facts): Verdict | undefined {
  if (pipelineOf(facts)?.scaling.policy !== 'Manual') return undefined
  const text = 'scaling.policy is Manual: spec.replicas is obeyed; the recommendation is in status.scaling'
  return verdict('False', 'ManualReplicas', text)
}

function unasked(facts: Facts): Verdict | undefined {
  const { look } = facts
  if (look.kind === 'None') return verdict('Unknown', 'NotObservedYet', 'Redis is asked within a few seconds')
  if (look.kind === 'Seen') return undefined
  const said = pipelineOf(facts)?.scaling.onMetricsLoss ?? ''
  const text = `Redis cannot be asked, so scaling.onMetricsLoss (${said}) applies; the condition RedisReachable gives the cause`
  return verdict('False', 'MetricsUnavailable', text)
}

function heldQueue(facts: Facts): Verdict | undefined {
  const { look } = facts
  const sink = pipelineOf(facts)?.sink
  if (look.kind !== 'Seen' || sink === undefined) return undefined
  const { queue, maxWaiting } = sink
  const name = `the BullMQ queue ${printableName(queue)}`
  if (look.sample.queuePaused === true) {
    const text = `${name} is paused: jobs are added, and no worker takes them. Resume it with Queue.resume()`
    return verdict('False', 'QueuePaused', text)
  }
  if (!isQueueFull(look.sample, maxWaiting)) return undefined
  const waiting = roundCount(look.sample.queueWaiting)
  const text = `${name} holds ${waiting} waiting jobs, sink.bullmq.maxWaiting is ${maxWaiting}: consumers wait. Add workers, or raise maxWaiting`
  return verdict('False', 'QueueFull', text)
}

function wakesLate({ look }: Facts): Verdict | undefined {
  if (look.kind !== 'Seen' || look.wakesLate === undefined) return undefined
  const { code, message, remedy } = look.wakesLate
  const advice =
    code === 'RedisPermissionDenied' ? 'Grant XREAD on the stream' : `${remedy[0]?.toUpperCase() ?? ''}${remedy.slice(1)}`
  const text = `Replicas follow the age of the backlog, but a first entry is noticed only at the next look: ${message}. ${advice}`
  return verdict('True', 'WakesLate', text)
}
