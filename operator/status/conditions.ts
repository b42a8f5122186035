/**
 * The conditions, each a function of what is observed. All are always present. A message says what failed, on which object, why,
 * and what to do. `Ready` sums up: it is False with the first reason that stands in the way, most telling first.
 */
import type { StreamPipelineError } from '../../api/errors.ts'
import { printableName } from '../../api/printable.ts'
import type { ConditionType } from '../../api/status.ts'
import { deploymentType, podMonitorType } from '../plan/kinds.ts'
import { consumerName, isPaused, reconcileAnnotation } from '../plan/names.ts'
import type { Observed } from '../plan/observed.ts'
import { troubleOf } from './consumers.ts'
import { intactOf } from './dataintact.ts'
import type { ConditionReason } from './reasons.ts'
import { roundCount } from './rounding.ts'
import { strangersText } from './strangers.ts'

interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown'
  /** From conditionReasons, or an error's. */
  readonly reason: string
  readonly message: string
}

export type Verdicts = Readonly<Record<ConditionType, Verdict>>

const verdict = (status: Verdict['status'], reason: ConditionReason, message: string): Verdict => ({ status, reason, message })
const failed = (error: StreamPipelineError, prefix = ''): Verdict => ({
  status: 'False',
  reason: error.reason,
  message: `${prefix}${error.advice}`,
})

const unknown = (error: StreamPipelineError, prefix: string): Verdict => ({
  status: 'Unknown',
  reason: error.reason,
  message: `${prefix}${error.advice}`,
})

export function verdictsOf(observed: Observed, replicas: number, nowMs: number): Verdicts {
  const reconciled = reconciledOf(observed)
  const redis = redisReachableOf(observed)
  const consumers = withStrangers(consumersAvailableOf(observed, replicas), observed)
  return {
    Ready: readyOf(observed, reconciled, redis, consumers),
    Stalled: stalledOf(observed),
    Reconciled: reconciled,
    RedisReachable: redis,
    ConsumersAvailable: consumers,
    ScalingActive: scalingActiveOf(observed),
    Drained: drainedOf(observed, nowMs),
    DataIntact: dataIntactOf(observed),
  }
}

function readyOf(observed: Observed, ...parts: readonly Verdict[]): Verdict {
  const suspended = observed.spec.kind === 'Sound' && observed.spec.pipeline.suspend
  const blocking = parts.find(({ status }) => status === 'False') ?? parts.find(({ status }) => status === 'Unknown')
  if (blocking !== undefined) return blocking
  if (suspended) return verdict('False', 'Suspended', 'spec.suspend is true: nothing is moved. Set it to false to go on')
  return verdict('True', 'Running', 'Redis answers, the objects match the spec, and consumers are available')
}

function stalledOf({ spec, faults, schemaFault, observation }: Observed): Verdict {
  const told = [
    ...(spec.kind === 'Unsound' ? [spec.error] : []),
    ...(schemaFault === undefined ? [] : [schemaFault]),
    ...faults.map(({ error }) => error),
    ...(observation.kind === 'Failed' ? [observation.error] : []),
    ...(observation.kind === 'Seen' && observation.refusal !== undefined ? [observation.refusal] : []),
  ]
  const terminal = told.find(({ retryable }) => !retryable)
  if (terminal === undefined) return verdict('False', 'Progressing', 'Nothing waits for a person')
  return { ...failed(terminal), status: 'True' }
}

function reconciledOf(observed: Observed): Verdict {
  if (observed.spec.kind === 'Unsound') return failed(observed.spec.error)
  if (isPaused(observed.object)) {
    const message = `the annotation ${reconcileAnnotation}: disabled is set, so the objects stay as they are. Remove it to have them reconciled`
    return verdict('Unknown', 'ReconcileDisabled', message)
  }
  if (observed.schemaFault !== undefined) return failed(observed.schemaFault)
  const [fault] = observed.faults
  if (fault !== undefined) return failed(fault.error, fault.error.code === 'NameTaken' ? '' : `${fault.subject}: `)
  const absent = observed.references.find((state) => state.kind === 'Absent')
  if (absent !== undefined) return failed(absent.error)
  return unseenOf(observed) ?? verdict('True', 'ObjectsApplied', 'All objects match the spec')
}

/** What cannot be read or watched. Nothing is taken away for it, and nothing is said to be wrong. */
function unseenOf({ references, dark = [] }: Observed): Verdict | undefined {
  for (const state of references) {
    const error = state.kind === 'Unknown' ? state.error : state.kind === 'Found' ? state.doubt : undefined
    const { kind, name } = state.reference
    if (error !== undefined) return unknown(error, `${kind} ${name} cannot be read, so what was last read of it holds: `)
  }
  const unwatched = dark.find(({ kind }) => kind !== podMonitorType.kind)
  if (unwatched !== undefined) return unknown(unwatched.error, `${unwatched.subject} cannot be watched: `)
  const scrape = dark.find(({ known }) => !known)
  if (scrape === undefined) return undefined
  const text = `All other objects match the spec; ${scrape.subject} cannot be watched, so there is no PodMonitor: ${scrape.error.message}`
  return verdict('True', 'PodMonitorMissing', `${text}. Install its definition, or leave --pod-monitor out`)
}

function redisReachableOf({ observation, spec, references }: Observed): Verdict {
  switch (observation.kind) {
    case 'Seen':
      if (observation.refusal !== undefined) return failed(observation.refusal)
      return verdict('True', 'RedisConnected', 'Redis answers')
    case 'Failed':
      return failed(observation.error)
    case 'None': {
      const absent = references.find((state) => state.kind === 'Absent')
      if (absent !== undefined) return failed(absent.error)
      const unread = references.find((state) => state.kind === 'Unknown')
      if (unread !== undefined) return unknown(unread.error, `${unread.reference.kind} ${unread.reference.name} cannot be read: `)
      if (spec.kind === 'Unsound') return verdict('Unknown', 'NotObservedYet', 'The spec must be corrected first')
      return verdict('Unknown', 'NotObservedYet', 'Redis is asked within a few seconds')
    }
    default:
      throw observation satisfies never
  }
}

function withStrangers(said: Verdict, { observation, object, pods }: Observed): Verdict {
  const text = observation.kind === 'Seen' ? strangersText(object.metadata.uid ?? '', pods, observation.sample) : ''
  if (text === '') return said
  const message = `${said.message}; ${text}. Give each program a group of its own`
  return said.status === 'True' ? verdict('True', 'GroupShared', message) : { ...said, message }
}

function consumersAvailableOf(observed: Observed, replicas: number): Verdict {
  const { deployment, spec, pods, dark = [] } = observed
  const unseen = dark.find(({ kind, known }) => !known && kind === deploymentType.kind)
  if (deployment === undefined && unseen !== undefined) return unknown(unseen.error, `${unseen.subject} cannot be watched: `)
  const name = `Deployment ${consumerName(observed.object.metadata.name ?? '')}`
  if (deployment === undefined)
    return verdict('False', 'NoDeployment', `${name} does not exist yet; the condition Reconciled tells what it waits for`)
  const ready = deployment.status?.readyReplicas ?? 0
  if (replicas === 0 && spec.kind === 'Sound') {
    if (spec.pipeline.suspend) return verdict('True', 'Suspended', 'spec.suspend is true: no consumer is wanted')
    if (spec.pipeline.mode === 'Direct')
      return verdict('True', 'DirectMode', 'mode is Direct and the stream is settled: no consumer is wanted')
    return verdict('True', 'ScaledToZero', 'Nothing waits: no consumer is wanted until an entry arrives')
  }
  const trouble = pods.map(troubleOf).find((found) => found !== undefined)
  const troubleText = trouble && `Pod ${trouble.pod}: ${trouble.detail}. ${troubleRemedies[trouble.reason]}`
  if (ready > 0) {
    const text = `${ready} of ${replicas} consumers ready`
    if (troubleText === undefined || ready >= replicas) return verdict('True', 'ConsumersReady', text)
    return verdict('True', 'ConsumersDegraded', `${text}; ${troubleText}`)
  }
  const refused = deployment.status?.conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True')
  if (refused !== undefined) {
    const remedy = 'Raise the quota, or change spec.consumer so that the policy named admits the pods'
    return verdict('False', 'PodsRefused', `${name}: ${refused.message ?? refused.reason ?? 'its pods are refused'}. ${remedy}`)
  }
  if (trouble !== undefined && troubleText !== undefined) return verdict('False', trouble.reason, troubleText)
  return verdict('False', 'ConsumersStarting', `0 of ${replicas} consumers ready; ${pods.length} pods exist`)
}

const troubleRemedies = {
  ImagePullFailed: 'Check spec.consumer.image, imagePullSecrets and that the registry can be reached',
  ConsumersCrashing:
    'Read its log with kubectl logs --previous; if it was OOMKilled, raise spec.consumer.resources.limits.memory',
  PodsEnded: 'Look at the node, and at requests and limits in spec.consumer.resources; the Deployment replaces the pod',
  ContainerNotCreated: 'Correct what the message names in spec.consumer',
  Unschedulable: "Make room, or lower spec.consumer.resources and its placement's demands",
} as const

function scalingActiveOf({ spec, observation }: Observed): Verdict {
  if (spec.kind === 'Unsound') return failed(spec.error)
  const { pipeline } = spec
  if (pipeline.suspend) return verdict('False', 'Suspended', 'spec.suspend is true: no consumer runs')
  if (pipeline.scaling.policy === 'Manual')
    return verdict(
      'False',
      'ManualReplicas',
      'scaling.policy is Manual: spec.replicas is obeyed; the recommendation is in status.scaling',
    )
  if (observation.kind === 'Failed') {
    const said = pipeline.scaling.onMetricsLoss
    return verdict(
      'False',
      'MetricsUnavailable',
      `Redis cannot be asked, so scaling.onMetricsLoss (${said}) applies; the condition RedisReachable tells why`,
    )
  }
  if (observation.kind === 'None') return verdict('Unknown', 'NotObservedYet', 'Redis is asked within a few seconds')
  const { queue, maxWaiting } = pipeline.sink
  if (observation.sample.queuePaused === true) {
    const text = `the BullMQ queue ${printableName(queue)} is paused: jobs are added, and no worker takes them. Resume it with Queue.resume()`
    return verdict('False', 'QueuePaused', text)
  }
  if (observation.sample.queueWaiting >= maxWaiting) {
    const text = `the BullMQ queue ${printableName(queue)} holds ${roundCount(observation.sample.queueWaiting)} waiting jobs, sink.bullmq.maxWaiting is ${maxWaiting}: consumers wait. Add workers, or raise maxWaiting`
    return verdict('False', 'QueueFull', text)
  }
  if (pipeline.mode === 'Direct')
    return verdict('True', 'DirectMode', 'mode is Direct: consumers are kept until the stream is settled')
  if (observation.wakesLate !== undefined) {
    const { code, message, remedy } = observation.wakesLate
    const advice = code === 'RedisPermissionDenied' ? 'Grant XREAD on the stream' : remedy
    const text = `Replicas follow the age of the backlog, but a first entry is noticed only at the next look: ${message}. ${advice}`
    return verdict('True', 'WakesLate', text)
  }
  return verdict('True', 'ScalingOnAge', 'Replicas follow the age of the backlog')
}

function drainedOf({ spec, observation, settings }: Observed, nowMs: number): Verdict {
  if (spec.kind === 'Unsound' || (spec.pipeline.mode === 'Stream' && !spec.pipeline.suspend))
    return verdict('False', 'NotDraining', 'mode is Stream: the pipeline is not being drained')
  if (observation.kind !== 'Seen')
    return verdict('Unknown', 'NotObservedYet', 'Whether entries are left is known when Redis answers')
  const { sample, quietSinceMs } = observation
  if (spec.pipeline.suspend) {
    if (sample.pending === 0) return verdict('True', 'StreamSettled', 'Consumers have settled everything they held')
    return verdict('False', 'Draining', `${roundCount(sample.pending)} entries are held by consumers`)
  }
  const left = sample.undelivered + sample.pending
  if (left > 0) return verdict('False', 'Draining', `${roundCount(left)} entries are still to be settled`)
  if (quietSinceMs === undefined || nowMs - quietSinceMs < settings.quietMs)
    return verdict(
      'False',
      'Draining',
      'The stream is settled; two quiet minutes are awaited, since producers learn of the mode with delay',
    )
  return verdict('True', 'StreamSettled', 'Every entry is settled, and none came for two minutes')
}

function dataIntactOf({ observation, spec }: Observed): Verdict {
  const sample = observation.kind === 'None' ? undefined : observation.sample
  if (sample === undefined) return verdict('Unknown', 'NotObservedYet', 'Known when Redis answers')
  return intactOf(sample, spec.kind === 'Sound' ? spec.pipeline : undefined)
}
