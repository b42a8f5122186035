/** What a status claims of the Deployment, its pods and the other children. */
import type { Condition } from '../../../../api/status.ts'
import type { Stored } from '../apiserver.ts'
import type { Ill } from '../pods.ts'
import { isMisspelt, isUnsound, placeOf, type Spec, serverOf, streamOf } from '../specs.ts'
import type { Truth } from '../world.ts'
import {
  type Claim,
  deploymentSpec,
  deploymentStatus,
  type Finding,
  freshMs,
  isPaused,
  readyOf,
  type Sight,
  streamTruth,
} from './sight.ts'

const seenAs: Readonly<Record<Ill, readonly string[]>> = {
  Image: ['ImagePullFailed'],
  Config: ['ContainerNotCreated'],
  Crash: ['ConsumersCrashing'],
  Probe: ['ConsumersNotReady'],
  Unschedulable: ['Unschedulable', 'ConsumersStuck'],
  Evicted: ['PodsEnded'],
  Node: ['NodeLost'],
}
/** The pod's status says it at once. */
const plain: readonly Ill[] = ['Image', 'Config', 'Crash', 'Unschedulable', 'Node']

const isRefused = (truth: Truth) => deploymentStatus(truth).conditions?.some(({ type }) => type === 'ReplicaFailure') === true

/** Whether a pod, or the Deployment, shows what that reason says. */
function shows(truth: Truth, reason: string): boolean {
  if (reason === 'PodsRefused') return isRefused(truth)
  if (reason === 'RolloutPaused') return deploymentSpec(truth).paused === true
  return truth.pods.some(({ ill, leaving }) => ill !== undefined && !leaving && seenAs[ill].includes(reason))
}

/** It has shown for so long that the status must say it. */
export function isIll({ atMs, fresh }: Sight): boolean {
  if (fresh.every(isRefused)) return true
  const now = fresh.at(-1)
  return (
    now?.pods.some(
      ({ ill, shownMs, leaving, ended }) =>
        ill !== undefined && plain.includes(ill) && !leaving && !ended && shownMs !== undefined && shownMs < atMs - freshMs - 500,
    ) === true
  )
}

/** Whether each object, one by one, is as the spec asks for. */
function matching(truth: Truth, spec: Spec): readonly boolean[] {
  const { deployment, children, pipeline } = truth
  const isOurs = (object: Stored | undefined) =>
    object?.metadata.ownerReferences?.some((owner) => owner.uid === pipeline?.metadata.uid) === true
  const image = deploymentSpec(truth).template?.spec?.containers?.[0]?.image
  const place = placeOf(children.config?.data?.['pipeline.yaml'])
  return [
    isOurs(deployment) && image === spec.consumer.image,
    isOurs(children.config) && place?.server === serverOf(spec) && place.stream === streamOf(spec),
    ...[children.dispatch, children.account, children.budget].map(isOurs),
  ]
}

/** The Deployment and its configuration were as the spec asks for, each at one of these moments. */
export function wereConfigured(truths: readonly Truth[], spec: Spec): boolean {
  return matched(truths, spec, [0, 1])
}

/** Each object was as the spec asks for, at one of these moments. Each watch has a delay of its own. */
function matched(truths: readonly Truth[], spec: Spec, which: readonly number[] = [0, 1, 2, 3, 4]): boolean {
  const all = truths.map((truth) => matching(truth, spec))
  return which.every((n) => all.some((each) => each[n] === true))
}

export const numbers: Claim = ({ status, fresh }, of) => {
  const { replicas, readyReplicas, selector } = status
  // Said to be unknown.
  if (isDark(of('ConsumersAvailable'))) return undefined
  const same = fresh.some((truth) => (deploymentStatus(truth).replicas ?? 0) === replicas && readyOf(truth) === readyReplicas)
  return [
    same ? undefined : `replicas ${replicas}, ready ${readyReplicas} were not so`,
    selector === 'streampipeline.dev/name=ndvi' ? undefined : `selector ${selector}`,
  ]
}

export const consumersAvailable: Claim = (sight, of): Finding => {
  const { status, reason, message } = of('ConsumersAvailable')
  const { fresh, spec } = sight
  const some = (p: (truth: Truth) => boolean) => fresh.some(p)
  if (status === 'Unknown') return sight.mayStillFail ? undefined : `unknown: ${reason}`
  const count = /^(\d+) of (\d+) consumers ready/.exec(message)?.[1]
  if (count !== undefined && !some((truth) => readyOf(truth) === Number(count))) return `${count} were never ready`
  if (status === 'True') {
    switch (reason) {
      case 'ConsumersReady':
        if (!some((truth) => readyOf(truth) > 0)) return 'none is ready'
        return isIll(sight) ? 'a pod, or its making, fails' : undefined
      case 'ConsumersDegraded':
        if (!some((truth) => readyOf(truth) > 0)) return 'none is ready'
        return some(
          (truth) =>
            truth.rollout === 'Failed' ||
            isRefused(truth) ||
            deploymentSpec(truth).paused === true ||
            truth.pods.some(({ ill }) => ill !== undefined),
        )
          ? undefined
          : 'nothing is wrong'
      case 'GroupShared':
        return some((truth) => shares(truth, spec)) ? undefined : 'nobody else reads'
      case 'ScaledToZero':
        if (sight.status.scaling?.desiredReplicas !== 0) return 'consumers are wanted'
        if (message.startsWith('Nothing waits') && !some((truth) => isEmpty(truth, spec))) return 'entries wait'
        return spec.suspend || spec.mode === 'Direct' ? 'the spec asks for something else' : undefined
      case 'Suspended':
        return spec.suspend ? undefined : 'it is not suspended'
      case 'DirectMode':
        return spec.mode === 'Direct' ? undefined : 'the mode is Stream'
      default:
        return `a reason that cannot be: ${reason}`
    }
  }
  if (reason === 'NoDeployment') return some(({ deployment }) => deployment === undefined) ? undefined : 'there is one'
  if (!some((truth) => readyOf(truth) === 0)) return 'some are ready'
  if (reason === 'ConsumersStarting') return isIll(sight) ? 'a pod, or its making, fails' : undefined
  return some((truth) => shows(truth, reason)) ? undefined : `no pod shows ${reason}`
}

/** A consumer of another owner beats, or was the last to beat and still holds entries. */
function shares(truth: Truth, spec: Spec): boolean {
  const { consumers = new Map<string, { uid: string; beatMs: number }>(), pending = 0 } = streamTruth(truth, spec) ?? {}
  const owner = truth.pipeline?.metadata.uid ?? ''
  const all = [...consumers.values()].toSorted((a, b) => b.beatMs - a.beatMs)
  return all.some(
    ({ uid, beatMs }, n) => !uid.startsWith(`${owner}/`) && (truth.atMs - beatMs < 16_000 || (n === 0 && pending > 0)),
  )
}

function isEmpty(truth: Truth, spec: Spec): boolean {
  const { undelivered = 0, pending = 0 } = streamTruth(truth, spec) ?? {}
  return undelivered + pending === 0
}

/** Deployments or pods cannot be watched. */
export const isDark = ({ status, message }: Condition) => status === 'Unknown' && message.includes('cannot be watched')

const plurals: Readonly<Record<string, string>> = { Deployment: 'deployments', ConfigMap: 'configmaps' }
const refusals: Readonly<Record<string, string>> = { ApplyFailed: 'Quota', Forbidden: 'Rights', InvalidSpec: 'Misspelt' }
/** A refused write is tried again after five minutes at most. */
const triedMs = 315_000

/**
 * Whether the API server refused the last write of that kind of object for this reason. One try may write an object twice, and each
 * write may be refused for another reason. The answer to a write does not show whether a right was lacking. The operator asks for
 * its rights afterwards, and they may have changed by then.
 */
function wasRefused({ refused, atMs, statesOf }: Sight, reason: string, message: string): boolean {
  const kind = refusals[reason]
  const plural = plurals[/^\w+/.exec(message)?.[0] ?? '']
  const writes = refused.filter((write) => write.atMs <= atMs && (plural === undefined || write.plural === plural))
  const last = writes.at(-1)
  if (kind === undefined || last === undefined || last.atMs < atMs - triedMs) return false
  if (writes.some((write) => write.kind === kind && write.atMs >= last.atMs - freshMs)) return true
  if (last.kind === 'Misspelt' || kind === 'Misspelt') return false
  const around = statesOf(last.atMs - freshMs, last.atMs + freshMs)
  return around.some(({ refusal }) => (refusal?.kind === 'Rights') === (kind === 'Rights'))
}

export const reconciled: Claim = (sight, of): Finding => {
  const { status, reason, message } = of('Reconciled')
  const { spec, fresh, long, mayStillFail } = sight
  if (status === 'True') {
    if (fresh.every(({ pipeline }) => isPaused(pipeline))) return 'reconciling is disabled'
    if (isUnsound(spec)) return 'the spec is unsound'
    if (spec.redis.passwordFrom !== undefined && long.every(({ secret }) => !secret)) return 'the Secret is missing'
    return matched(fresh, spec) ? undefined : 'objects do not match'
  }
  if (reason === 'ReconcileDisabled')
    return fresh.some(({ pipeline }) => isPaused(pipeline)) ? undefined : 'reconciling is enabled'
  if (reason === 'InvalidSpec' && isUnsound(spec)) return undefined
  if (reason === 'ReferenceMissing') return long.some(({ secret }) => !secret) ? undefined : 'no reference is missing'
  if (reason === 'InvalidSpec' && !isMisspelt(spec)) return 'the spec is sound'
  if (wasRefused(sight, reason, message)) return undefined
  if (reason === 'Contended') return undefined
  return mayStillFail ? undefined : `nothing refused it: ${reason}`
}
