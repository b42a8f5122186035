/**
 * The conditions, each a function of what is observed. All are always present. A message says what failed, on which object, why,
 * and what to do. `Ready` sums up: it is False with the first reason that stands in the way, most telling first.
 */
import type { StreamPipelineError } from '../../api/errors.ts'
import type { ConditionType } from '../../api/status.ts'
import { consumerName, isPaused, reconcileAnnotation } from '../plan/names.ts'
import type { Observed } from '../plan/observed.ts'
import { troubleOf } from './consumers.ts'
import type { ConditionReason } from './reasons.ts'
import { roundCount } from './rounding.ts'
import { strangersText } from './strangers.ts'

export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown'
  /** From conditionReasons, or an error's. */
  readonly reason: string
  readonly message: string
}

export type Verdicts = Readonly<Record<ConditionType, Verdict>>

/** How long a stream in mode Direct must stay settled: mounted ConfigMaps reach producers within about a minute and a half. */
export const quietMs = 120_000

const verdict = (status: Verdict['status'], reason: ConditionReason, message: string): Verdict => ({ status, reason, message })
const failed = (error: StreamPipelineError, prefix = ''): Verdict => ({
  status: 'False',
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

function stalledOf({ spec, faults }: Observed): Verdict {
  const terminal = spec.kind === 'Unsound' ? spec.error : faults.find(({ error }) => !error.retryable)?.error
  if (terminal === undefined) return verdict('False', 'Progressing', 'Nothing waits for a person')
  return { ...failed(terminal), status: 'True' }
}

function reconciledOf(observed: Observed): Verdict {
  if (observed.spec.kind === 'Unsound') return failed(observed.spec.error)
  if (isPaused(observed.object)) {
    const message = `the annotation ${reconcileAnnotation}: disabled is set, so the objects stay as they are. Remove it to have them reconciled`
    return verdict('Unknown', 'ReconcileDisabled', message)
  }
  const [fault] = observed.faults
  if (fault !== undefined) return failed(fault.error, fault.error.code === 'NameTaken' ? '' : `${fault.subject}: `)
  const absent = observed.references.find((state) => state.kind === 'Absent')
  if (absent !== undefined) return failed(absent.error)
  return verdict('True', 'ObjectsApplied', 'All objects match the spec')
}

function redisReachableOf({ observation, spec, references }: Observed): Verdict {
  switch (observation.kind) {
    case 'Seen':
      return verdict('True', 'RedisConnected', 'Redis answers')
    case 'Failed':
      return failed(observation.error)
    case 'None': {
      const absent = references.find((state) => state.kind === 'Absent')
      if (absent !== undefined) return failed(absent.error)
      if (spec.kind === 'Unsound') return verdict('Unknown', 'NotObservedYet', 'The spec must be corrected first')
      return verdict('Unknown', 'NotObservedYet', 'Redis is asked within a few seconds')
    }
    default:
      throw observation satisfies never
  }
}

function withStrangers(said: Verdict, { observation, object, pods }: Observed): Verdict {
  const text = observation.kind === 'Seen' ? strangersText(object.metadata.uid ?? '', pods, observation.sample) : ''
  return text === '' ? said : { ...said, message: `${said.message}; ${text}` }
}

function consumersAvailableOf(observed: Observed, replicas: number): Verdict {
  const { deployment, spec, pods } = observed
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
  if (ready > 0) return verdict('True', 'ConsumersReady', `${ready} of ${replicas} consumers ready`)
  const refused = deployment.status?.conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True')
  if (refused !== undefined) {
    const remedy = 'Raise the quota, or change spec.consumer so that the policy named admits the pods'
    return verdict('False', 'PodsRefused', `${name}: ${refused.message ?? refused.reason ?? 'its pods are refused'}. ${remedy}`)
  }
  const trouble = pods.map(troubleOf).find((found) => found !== undefined)
  if (trouble !== undefined)
    return verdict('False', trouble.reason, `Pod ${trouble.pod}: ${trouble.detail}. ${troubleRemedies[trouble.reason]}`)
  return verdict('False', 'ConsumersStarting', `0 of ${replicas} consumers ready; ${pods.length} pods exist`)
}

const troubleRemedies = {
  ImagePullFailed: 'Check spec.consumer.image, imagePullSecrets and that the registry can be reached',
  ConsumersCrashing: 'Read its log with kubectl logs --previous',
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
  if (pipeline.mode === 'Direct')
    return verdict('True', 'DirectMode', 'mode is Direct: consumers are kept until the stream is settled')
  return verdict('True', 'ScalingOnAge', 'Replicas follow the age of the backlog')
}

function drainedOf({ spec, observation }: Observed, nowMs: number): Verdict {
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
  if (quietSinceMs === undefined || nowMs - quietSinceMs < quietMs)
    return verdict(
      'False',
      'Draining',
      'The stream is settled; two quiet minutes are awaited, since producers learn of the mode with delay',
    )
  return verdict('True', 'StreamSettled', 'Every entry is settled, and none came for two minutes')
}

function dataIntactOf({ observation }: Observed): Verdict {
  const sample = observation.kind === 'None' ? undefined : observation.sample
  if (sample === undefined) return verdict('Unknown', 'NotObservedYet', 'Known when Redis answers')
  if (sample.lost === 0) return verdict('True', 'NothingLost', 'No entry was trimmed unread')
  const message = `${roundCount(sample.lost)} entries were trimmed before anybody read them: raise source.retention.maxEntries, keep producers from trimming, or add consumers`
  return verdict('False', 'EntriesLost', message)
}
