/** Ready and Stalled, and what tools make of them. */
import { kstatusOf } from '../../../support/kstatus.ts'
import { isMisspelt, isUnsound } from '../specs.ts'
import type { Truth } from '../world.ts'
import { isIll, wereConfigured } from './objects.ts'
import { type Claim, deploymentSpec, deploymentStatus, type Finding, isPaused, readyOf, serverTruth } from './sight.ts'

export const ready: Claim = (sight, of): Finding | readonly Finding[] => {
  const { status, reason, observedGeneration } = of('Ready')
  const { spec, fresh, before } = sight
  if (reason === 'ReconcileDisabled') {
    const last = before?.conditions?.find(({ type }) => type === 'Ready')
    if (!fresh.some(({ pipeline }) => isPaused(pipeline))) return 'reconciling is enabled'
    return last === undefined ||
      (last.status === status && last.observedGeneration === observedGeneration) ||
      last.reason === 'WaitingForOperator'
      ? undefined
      : `it was ${last.status} of generation ${last.observedGeneration}, and is ${status} of ${observedGeneration}`
  }
  const parts = (['Reconciled', 'RedisReachable', 'ConsumersAvailable'] as const).map(of)
  if (status === 'True') {
    const isWanted = (truth: Truth) => (deploymentSpec(truth).replicas ?? 1) > 0
    const isRunning = (truth: Truth) => truth.rollout === 'Done' && (readyOf(truth) > 0 || !isWanted(truth))
    // The operator may see another writer's change of an object later than the pods.
    const isAtWork = fresh.some(isRunning) && wereConfigured(fresh, spec)
    return [
      parts.find((part) => part.status !== 'True') && 'a part of it is not True',
      (reason === 'Suspended') === spec.suspend ? undefined : `the reason is ${reason}`,
      isAtWork ? undefined : `not at work: rollout ${fresh.at(-1)?.rollout}, ${readyOf(fresh.at(-1) as Truth)} ready`,
      fresh.some((truth) => ['Up', 'NoRights'].includes(serverTruth(truth, spec).state)) ? undefined : 'Redis does not answer',
    ]
  }
  const isRolling = fresh.some((truth) => truth.rollout !== 'Done' || truth.isRolling)
  if (status === 'Unknown')
    return parts.some((part) => part.status === 'Unknown') || isRolling ? undefined : 'everything is known, and rolled out'
  if (parts.some((part) => part.status === 'False' && part.reason === reason)) return undefined
  return isRolling &&
    (isIll(sight) ||
      fresh.some(
        (truth) =>
          truth.rollout === 'Failed' ||
          deploymentSpec(truth).paused === true ||
          truth.pods.some(({ ill }) => ill !== undefined) ||
          deploymentStatus(truth).conditions?.some(({ type }) => type === 'ReplicaFailure') === true,
      ))
    ? undefined
    : `nothing shows ${reason}`
}

export const stalled: Claim = (sight, of): Finding => {
  const { status, reason } = of('Stalled')
  const { spec, fresh, long, refused, atMs } = sight
  const isOver = (truth: Truth) => truth.rollout === 'Failed'
  if (status === 'True') {
    const isLate = (truth: Truth) => deploymentStatus(truth).conditions?.some((condition) => condition.reason === reason) === true
    if (reason === 'ProgressDeadlineExceeded') return fresh.some(isLate) ? undefined : 'the rollout goes on'
    if (reason === 'WrongKeyType')
      return long.some((truth) => serverTruth(truth, spec).state === 'WrongType') ? undefined : 'the key is a stream'
    if (reason === 'InvalidSpec') return isUnsound(spec) || isMisspelt(spec) ? undefined : 'the spec is sound'
    return refused.some((write) => write.atMs > atMs - 315_000) ? undefined : `nothing waits for a person: ${reason}`
  }
  if (isUnsound(spec)) return 'the spec is unsound'
  if (status === 'Unknown')
    return of('ConsumersAvailable').status === 'Unknown' ? undefined : 'the Deployment is known, and whether it stopped is not'
  return fresh.every(isOver) && !fresh.some(({ pipeline }) => isPaused(pipeline)) ? 'the rollout has stopped' : undefined
}

/** The rules of kstatus, by which `helm --wait` and Flux judge. */
export const tools: Claim = ({ status, generation }, of): Finding => {
  const verdict = kstatusOf({ metadata: { generation }, status })
  const expected = of('Stalled').status === 'True' ? 'Failed' : of('Ready').status === 'True' ? 'Current' : 'InProgress'
  if (of('Ready').status === 'True' && of('Stalled').status === 'True' && of('Ready').reason !== 'ReconcileDisabled')
    return 'Ready and Stalled at once'
  return verdict === expected ? undefined : `kstatus reads ${verdict}, not ${expected}`
}
