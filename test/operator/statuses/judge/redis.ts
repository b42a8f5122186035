/** What a status claims of Redis and of the backlog. */
import type { ServerState } from '../redis.ts'
import { isUnsound } from '../specs.ts'
import { epochMs } from '../time.ts'
import type { Truth } from '../world.ts'
import {
  answered,
  asOfOf,
  type Claim,
  type Finding,
  freshMs,
  isAtPlace,
  isPaused,
  longMs,
  rounded,
  serverTruth,
  statesAt,
  streamTruth,
} from './sight.ts'

const reasons: Readonly<Record<string, readonly ServerState[]>> = {
  RedisUnreachable: ['Refused', 'Silent'],
  RedisAuthFailed: ['WrongPassword'],
  RedisNotReady: ['Loading', 'Replica'],
  RedisPermissionDenied: ['NoRights'],
  WrongKeyType: ['WrongType'],
}
/** Faults with which looks still succeed, and which are looked for twice a minute. */
const slow: readonly ServerState[] = ['NoRights']

export const redisReachable: Claim = (sight, of) => {
  const { status, reason } = of('RedisReachable')
  const { spec, fresh, long, atMs, sinceMs, startMs } = sight
  const is = (truth: Truth, states: readonly ServerState[]) => states.includes(serverTruth(truth, spec).state)
  const last = answered(sight).at(-1)?.atMs ?? Number.NEGATIVE_INFINITY
  if (status === 'True') {
    if (last < sinceMs) return 'Redis of this spec has not answered a look'
    if (last < startMs) return 'Redis has not answered this operator'
    if (last < atMs - freshMs) return `Redis answered last ${((atMs - last) / 1000).toFixed(1)} s ago`
    if (!fresh.some((truth) => is(truth, ['Up', ...slow]))) return `Redis is ${serverTruth(fresh.at(-1) as Truth, spec).state}`
    if (
      long.every((truth) => is(truth, slow) || streamTruth(truth, spec)?.claimed === true) &&
      long[0] !== undefined &&
      long[0].atMs <= atMs - longMs
    )
      return 'Redis has refused rights, or the stream was another’s, all the while'
    return undefined
  }
  if (reason === 'NotObservedYet') {
    // A look needs the Secret of this spec, which the API server may not give. For anything else looks do not wait.
    if (isUnsound(spec) || (sight.mayStillFail && spec.redis.passwordFrom !== undefined)) return undefined
    const isKnown = last > Math.max(sinceMs, startMs) + 1_000 && last < atMs - freshMs && status === 'Unknown'
    return isKnown &&
      fresh.every((truth) => is(truth, ['Up'])) &&
      sight.looks.every((look) => look.ok || look.atMs < atMs - longMs)
      ? 'Redis has answered since'
      : undefined
  }
  if (reason === 'ReferenceMissing')
    return long.some(({ secret }) => !secret) && spec.redis.passwordFrom !== undefined ? undefined : 'no reference was missing'
  if (reason === 'StreamClaimed')
    return long.some((truth) => streamTruth(truth, spec)?.claimed === true) ? undefined : 'nobody else claimed it'
  const causes = reasons[reason]
  // The API server could not be asked for a Secret.
  if (causes === undefined)
    return sight.mayStillFail || reason === 'RedisCommandFailed' ? undefined : `a cause that is not there: ${reason}`
  return long.some((truth) => is(truth, causes)) ? undefined : `Redis was ${serverTruth(fresh.at(-1) as Truth, spec).state}`
}

export const backlog: Claim = (sight, of) => {
  const { status, spec, fresh } = sight
  const claimed = status.backlog
  const metrics = of('ScalingActive')
  const asOf = asOfOf(of('RedisReachable').message)
  if (claimed === undefined) return undefined
  const states = asOf === undefined ? fresh : sight.long.length === 0 ? [] : statesAt(sight, Date.parse(asOf) - epochMs)
  if (asOf !== undefined && metrics.status === 'True') return 'numbers are of an earlier look, and Redis answers'
  const same = states.some((truth) => {
    const stream = streamTruth(truth, spec)
    if (stream === undefined) return [claimed.undelivered, claimed.pending, claimed.lost].every((count) => count === 0)
    const { undelivered, pending, lost, dead } = stream
    // Lost entries are acknowledged by their number, so that one is exact.
    const isSame =
      [
        [claimed.undelivered, undelivered],
        [claimed.pending, pending],
        [claimed.deadLettered, dead],
      ].every(([reported, count]) => reported === rounded(count ?? 0)) && claimed.lost === lost
    return isSame
  })
  if (!same) return `backlog ${JSON.stringify(claimed)} was not so${asOf === undefined ? '' : ` at ${asOf}`}`
  return asOf === undefined || states.some((truth) => isAtPlace(truth, spec)) ? undefined : 'numbers of another stream'
}

export const dataIntact: Claim = (sight, of): Finding => {
  const { status, reason } = of('DataIntact')
  const { spec, fresh } = sight
  const lost = (truth: Truth) => streamTruth(truth, spec)?.lost ?? 0
  const asOf = asOfOf(of('DataIntact').message)
  const states = asOf === undefined ? fresh : statesAt(sight, Date.parse(asOf) - epochMs)
  if (reason === 'NothingLost') return states.some((truth) => lost(truth) === 0) ? undefined : 'entries are lost'
  if (reason === 'EntriesLost') return states.some((truth) => lost(truth) > 0) ? undefined : 'nothing is lost'
  if (status === 'Unknown') return undefined
  return `a reason that cannot be: ${reason}`
}

export const drained: Claim = (sight, of): Finding => {
  const { status, reason, message } = of('Drained')
  const { spec, fresh, atMs } = sight
  const left = (truth: Truth) => {
    const stream = streamTruth(truth, spec)
    return spec.suspend && spec.mode === 'Stream' ? (stream?.pending ?? 0) : (stream?.pending ?? 0) + (stream?.undelivered ?? 0)
  }
  if (reason === 'NotDraining') return spec.mode === 'Stream' && !spec.suspend ? undefined : 'it is being drained'
  if (status === 'Unknown') return undefined
  if (spec.mode === 'Stream' && !spec.suspend) return 'nobody asked for it'
  if (reason === 'StreamSettled') {
    if (!fresh.some((truth) => left(truth) === 0)) return 'entries are left'
    if (spec.suspend && spec.mode === 'Stream') return undefined
    const lastMs = Math.max(
      ...fresh.slice(0, 1).map((truth) => streamTruth(truth, spec)?.lastAddedMs ?? Number.NEGATIVE_INFINITY),
      sight.placeSinceMs,
    )
    const quietMs = atMs - Math.max(lastMs, sight.startMs)
    return quietMs >= 120_000 - freshMs
      ? undefined
      : `an entry came, or this stream was first looked at, ${(quietMs / 1000).toFixed(0)} s ago`
  }
  const count = /^(\d+) entries/.exec(message)?.[1]
  return count === undefined ||
    fresh.some(
      (truth) => rounded(left(truth)) === Number(count) || rounded(streamTruth(truth, spec)?.pending ?? 0) === Number(count),
    )
    ? undefined
    : `${count} entries were not left`
}

export const scalingActive: Claim = (sight, of): Finding => {
  const { status, reason } = of('ScalingActive')
  const { spec, fresh } = sight
  const queue = (truth: Truth) => [...serverTruth(truth, spec).streams.values()]
  if (status === 'True' && fresh.every(({ pipeline }) => isPaused(pipeline))) return 'reconciling is disabled'
  switch (reason) {
    case 'ReconcileDisabled':
      return fresh.some(({ pipeline }) => isPaused(pipeline)) ? undefined : 'reconciling is enabled'
    case 'Suspended':
      return spec.suspend ? undefined : 'it is not suspended'
    case 'ManualReplicas':
      return spec.scaling.policy === 'Manual' ? undefined : 'the policy is Active'
    case 'DirectMode':
      return spec.mode === 'Direct' ? undefined : 'the mode is Stream'
    case 'MetricsUnavailable':
      return of('RedisReachable').status === 'True' ? 'Redis answers' : undefined
    case 'QueuePaused':
      return fresh.some((truth) => queue(truth).some(({ queuePaused }) => queuePaused)) ? undefined : 'the queue is not paused'
    case 'QueueFull':
      return fresh.some((truth) => queue(truth).some(({ queueWaiting }) => queueWaiting >= spec.sink.bullmq.maxWaiting))
        ? undefined
        : 'the queue is not full'
    case 'ScalingOnAge':
      if (spec.suspend || spec.scaling.policy === 'Manual' || spec.mode === 'Direct') return 'the spec asks for something else'
      return fresh.every((truth) => queue(truth).some(({ queuePaused, queueWaiting }) => queuePaused || queueWaiting >= 1_000))
        ? 'the queue takes nothing'
        : undefined
    default:
      return status === 'True' ? `a reason that cannot be: ${reason}` : undefined
  }
}
