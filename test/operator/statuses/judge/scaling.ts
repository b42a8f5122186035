/** What a status claims of replicas that should be, of consumers by state, and of the times of transitions. */
import { type Spec, serverOf } from '../specs.ts'
import { epochMs } from '../time.ts'
import type { Truth } from '../world.ts'
import { isDark } from './objects.ts'
import { answered, asOfOf, type Claim, deploymentSpec, type Finding, type Sight, streamTruth } from './sight.ts'

export const desired: Claim = ({ status, spec, fresh }, of): Finding | readonly Finding[] => {
  const wanted = status.scaling?.desiredReplicas ?? -1
  const isAsked = of('RedisReachable').status === 'True'
  const { policy, minReplicas, maxReplicas } = spec.scaling
  if (of('ScalingActive').reason === 'ReconcileDisabled') {
    const had = fresh.some((truth) => (truth.deployment === undefined ? 0 : (deploymentSpec(truth).replicas ?? 1)) === wanted)
    return had || isDark(of('ConsumersAvailable')) ? undefined : `${wanted}, and the Deployment never had that many`
  }
  const isCarriedOut = fresh.some((truth) => truth.deployment === undefined || deploymentSpec(truth).replicas === wanted)
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
/** A look reads heartbeats within that time after its stream. */
const readMs = 100

export const active: Claim = (sight, of): Finding => {
  const reported = sight.status.consumers?.active ?? 0
  if (sight.status.backlog === undefined) return reported === 0 ? undefined : `${reported} at work, and Redis was not seen`
  const asOf = asOfOf(of('RedisReachable').message)
  const atMs = asOf === undefined ? undefined : Date.parse(asOf) - epochMs
  const [fromMs, toMs] = atMs === undefined ? [sight.atMs - sight.withinMs, sight.atMs] : [atMs - 1_000, atMs + 1_100]
  const times = answered(sight)
    .map((look) => look.atMs)
    .filter((ms) => ms >= fromMs && ms <= toMs)
  const isSeen = !isDark(of('ConsumersAvailable'))
  const same = times.some((ms) => isCountOf(sight, ms, reported, isSeen))
  return same ? undefined : `${reported} were never at work`
}

/**
 * Heartbeats expire without a change that could be seen, so the count is that of a look: of the consumers that the look found, and
 * whose heartbeats it read.
 */
function isCountOf(sight: Sight, lookedMs: number, reported: number, isSeen: boolean): boolean {
  const read = sight.heartbeats.find(
    ({ atMs, server }) => server === serverOf(sight.spec) && atMs >= lookedMs && atMs <= lookedMs + readMs,
  )
  const atMs = read?.atMs ?? lookedMs
  const beats = sight.statesOf(atMs - 1, atMs)
  return sight
    .statesOf(lookedMs - 1, lookedMs)
    .some((truth) => beats.some((then) => isCount(truth, beating(truth, then, sight.spec, atMs), sight, reported, isSeen)))
}

type Beating = readonly (readonly [name: string, uid: string])[]

function beating(looked: Truth, read: Truth, spec: Spec, atMs: number): Beating {
  const last = streamTruth(read, spec)?.consumers
  return [...(streamTruth(looked, spec)?.consumers ?? [])]
    .filter(([name]) => atMs - (last?.get(name)?.beatMs ?? Number.NEGATIVE_INFINITY) < heartbeatMs)
    .map(([name, { uid }]) => [name, uid])
}

/**
 * Consumers that beat at the look. Pods are watched, and the watch has a delay of its own: a pod that was there within the last seconds may
 * be counted, and one that is gone by now may be counted out already. A deleted pipeline of the same name may have registered a
 * pod. While pods cannot be watched, the operator cannot know that such a pod belongs to this pipeline.
 */
function isCount(truth: Truth, beats: Beating, { fresh }: Sight, reported: number, isSeen: boolean): boolean {
  const now = fresh.at(-1) ?? truth
  const owner = now.pipeline?.metadata.uid ?? ''
  const [then, still] = [runningIn(truth), runningIn(now)]
  const lately = new Set([truth, ...fresh].flatMap((each) => [...runningIn(each)]))
  const isOurs = (uid: string) => uid.startsWith(`${owner}/`)
  const most = beats.filter(([name, uid]) => isOurs(uid) || lately.has(name))
  const least = most.filter(([name, uid]) => (isOurs(uid) || isSeen) && then.has(name) && still.has(name))
  return reported <= most.length && reported >= least.length
}

const runningIn = ({ pods }: Truth): ReadonlySet<string> =>
  new Set(pods.filter(({ ended }) => !ended).map(({ key }) => key.slice(key.indexOf('/') + 1)))

/** A transition's time moves with the status of its condition alone. */
export const transitions: Claim = ({ status, before, atMs, mayStillFail }) => {
  // After a lost reply the operator does not know what stands at the server.
  if (mayStillFail) return undefined
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
