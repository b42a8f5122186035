/** What a status claims of replicas that should be, of consumers by state, and of the times of transitions. */
import { epochMs } from '../time.ts'
import type { Truth } from '../world.ts'
import { answered, asOfOf, type Claim, deploymentSpec, type Finding, freshMs, type Sight, streamTruth } from './sight.ts'

export const desired: Claim = ({ status, spec, fresh, atMs, isTroubled }, of): Finding | readonly Finding[] => {
  const wanted = status.scaling?.desiredReplicas ?? -1
  const isAsked = of('RedisReachable').status === 'True'
  const { policy, minReplicas, maxReplicas } = spec.scaling
  // A number that was decided during a reconcile, which may be slow, is carried out by the next one.
  const isNew = isTroubled || epochMs + atMs - Date.parse(status.scaling?.lastScaleTime ?? '') < freshMs
  const isCarriedOut = isNew || fresh.some((truth) => truth.deployment === undefined || deploymentSpec(truth).replicas === wanted)
  return [
    of('Reconciled').status !== 'True' || isCarriedOut ? undefined : `${wanted}, and the Deployment never had that many`,
    !isAsked || !spec.suspend || wanted === 0 ? undefined : `${wanted} though it is suspended`,
    !isAsked || spec.suspend || spec.mode === 'Direct' || policy !== 'Manual' || wanted === spec.replicas
      ? undefined
      : `${wanted}, not spec.replicas`,
    !isAsked || spec.suspend || spec.mode === 'Direct' || policy !== 'Active' || (wanted >= minReplicas && wanted <= maxReplicas)
      ? undefined
      : `${wanted} is not from ${minReplicas} to ${maxReplicas}`,
  ]
}

const heartbeatMs = 15_000

export const active: Claim = (sight, of): Finding => {
  const told = sight.status.consumers?.active ?? 0
  if (sight.status.backlog === undefined) return told === 0 ? undefined : `${told} at work, and Redis was not seen`
  const asOf = asOfOf(of('RedisReachable').message)
  const atMs = asOf === undefined ? undefined : Date.parse(asOf) - epochMs
  const [fromMs, toMs] = atMs === undefined ? [sight.atMs - freshMs, sight.atMs] : [atMs - 1_000, atMs + 1_100]
  const times = answered(sight)
    .map((look) => look.atMs)
    .filter((ms) => ms >= fromMs && ms <= toMs)
  // Heartbeats end by time alone, so the count is that of a look.
  const same = times.some((ms) => sight.statesOf(ms - 1, ms).some((truth) => isCount(truth, sight, ms, told)))
  return same ? undefined : `${told} were never at work`
}

/** Consumers that beat at the look; those whose pods are gone by now may be counted out already. */
function isCount(truth: Truth, { spec, fresh }: Sight, atMs: number, told: number): boolean {
  const now = fresh.at(-1) ?? truth
  const owner = now.pipeline?.metadata.uid ?? ''
  const [then, still] = [runningIn(truth), runningIn(now)]
  const beating = [...(streamTruth(truth, spec)?.consumers ?? [])].filter(([, { beatMs }]) => atMs - beatMs < heartbeatMs)
  const most = beating.filter(([name, { uid }]) => uid.startsWith(`${owner}/`) || then.has(name))
  const least = most.filter(([name]) => then.has(name) && still.has(name))
  return told <= most.length && told >= least.length
}

const runningIn = ({ pods }: Truth): ReadonlySet<string> =>
  new Set(pods.filter(({ ended }) => !ended).map(({ key }) => key.slice(key.indexOf('/') + 1)))

/** A transition's time moves with the status of its condition alone. */
export const transitions: Claim = ({ status, before, atMs, isTroubled }) => {
  // After a lost reply the operator does not know what stands at the server.
  if (isTroubled) return undefined
  return (status.conditions ?? []).map(({ type, status: value, lastTransitionTime }) => {
    const last = before?.conditions?.find((condition) => condition.type === type)
    const ageMs = epochMs + atMs - Date.parse(lastTransitionTime)
    if (last !== undefined && last.status === value && !last.lastTransitionTime.startsWith('1970'))
      return last.lastTransitionTime === lastTransitionTime
        ? undefined
        : `${type} changed at ${last.lastTransitionTime}, not at ${lastTransitionTime}`
    return ageMs >= 0 && ageMs < 2_000 ? undefined : `${type} changes now, not at ${lastTransitionTime}`
  })
}
