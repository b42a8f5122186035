/**
 * The state that a process goes on with, which another process left: after a failover, a restart, or the loss of the stored state. It
 * may be older than the last decisions, of another stream, or written by others. So the running replicas count, whatever it says:
 *
 * - The Deployment's number is what the next decision starts from, and stays until the load has been seen for long enough. A fresh state
 *   may know of more, which were decided and not yet carried out.
 * - Times in the future and lists out of order are dropped. If the state is old, all that depends on a clock is dropped, too.
 * - A limit behind the consumers is forgotten if it is below the running number. It would take replicas away without a sample.
 * - The measured speed is compared with the service times of the running consumers as soon as these are known (capacity.ts).
 */
import type { Arrival } from './arrivalhistory.ts'
import { carried } from './capacity.ts'
import { type Downstream, longestWaitMs, usefulReplicas } from './downstream.ts'
import { longestReadmissionMs, type Outage } from './outage.ts'
import type { ScalingPolicy } from './policy.ts'
import { readyOf, type Sample } from './sample.ts'
import { found, type StartUp } from './startup.ts'
import { initialState, remember, type ScalingState, type Wanted } from './state.ts'

/** A state is written at least every half minute; a hand-over takes as long again. */
const freshMs = 120_000
/** Looks are some seconds apart. After a longer silence another process may have decided. */
const silenceMs = 20_000
/** Windows hold what a delay of this length could need at most: 24 h, the longest `scaleDownDelay`. */
const longestWindowMs = 86_400_000

/** Whether another process decided more in the meantime. */
export function isSuperseded(state: ScalingState, sample: Sample, { currentReplicas }: ScalingPolicy): boolean {
  if (state.atMs === undefined || currentReplicas === undefined || state.misses > 0) return false
  const isNews = currentReplicas > state.replicas && currentReplicas !== state.deployed
  return isNews && sample.atMs - state.atMs > silenceMs
}

/** @param stored undefined: there was none, or nothing that can be read */
export function resumed(stored: ScalingState | undefined, sample: Sample, policy: ScalingPolicy): ScalingState {
  if (stored === undefined) return initialState(sample, policy)
  const { atMs } = sample
  const sinceMs = atMs - (stored.atMs ?? Number.NEGATIVE_INFINITY)
  const isFresh = sinceMs >= 0 && sinceMs <= freshMs
  const { currentReplicas: deployed } = policy
  const replicas = Math.max(deployed ?? 0, isFresh || deployed === undefined ? stored.replicas : 0)
  const past = <T extends { readonly atMs: number }>(items: readonly T[]) => items.filter((item) => item.atMs <= atMs)
  const { lastLateMs, lastShrinkMs } = stored
  return {
    version: 1,
    atMs,
    sinceMs: atMs,
    replicas,
    recommended: stored.recommended ?? stored.replicas,
    misses: 0,
    arrivals: isFresh && isHistory(stored.arrivals, sample) ? stored.arrivals : [],
    capacity: carried(stored.capacity),
    startUp: startUpOf(stored.startUp, replicas, sample, sinceMs),
    wanted: remember(past(stored.wanted), { atMs, replicas, ran: true } satisfies Wanted, longestWindowMs),
    rush: past(stored.rush),
    ...(lastLateMs !== undefined && lastLateMs <= atMs ? { lastLateMs } : {}),
    ...(lastShrinkMs !== undefined && lastShrinkMs <= atMs ? { lastShrinkMs } : {}),
    ...(isFresh ? stillTrue(stored, sample, replicas) : {}),
  }
}

/** The parts that hold only while this process has seen every change. */
function stillTrue(stored: ScalingState, sample: Sample, replicas: number): Partial<ScalingState> {
  const downstream = stored.downstream && limitOf(stored.downstream, sample.atMs, replicas)
  const outage = stored.outage && outageOf(stored.outage, sample.atMs)
  return {
    ...(downstream === undefined ? {} : { downstream }),
    ...(outage === undefined ? {} : { outage }),
  }
}

/** Of this stream, as far as can be seen: times and counts that grew, up to the sample's. */
function isHistory(arrivals: readonly Arrival[], { atMs, entriesAdded }: Sample): boolean {
  return arrivals.every((point, i) => {
    const next = arrivals[i + 1] ?? { atMs, added: entriesAdded }
    return point.atMs <= next.atMs && point.added <= next.added
  })
}

/** After a silence, replicas became ready unseen, at an unknown time. @param sinceMs since the last sample */
function startUpOf({ typicalMs, awaiting }: StartUp, replicas: number, sample: Sample, sinceMs: number): StartUp {
  const known = typicalMs === undefined ? {} : { typicalMs }
  const isReady = readyOf(sample) >= replicas
  if (awaiting?.replicas === replicas && awaiting.sinceMs <= sample.atMs) {
    const isSeen = sinceMs >= 0 && sinceMs <= (isReady ? silenceMs : freshMs)
    if (isSeen) return { ...known, awaiting }
  }
  return isReady ? known : { ...known, awaiting: found(replicas, sample.atMs) }
}

/** Undefined: the limit is forgotten, since it would take away replicas, or its stored times are impossible. */
function limitOf(downstream: Downstream, atMs: number, replicas: number): Downstream | undefined {
  const { window, ...rest } = downstream
  if ((usefulReplicas(downstream) ?? replicas) < replicas) return undefined
  if (rest.kind === 'Held' && (rest.sinceMs > atMs || rest.waitMs > longestWaitMs)) return undefined
  return window === undefined || window.sinceMs > atMs ? rest : { ...rest, window }
}

function outageOf(outage: Outage, atMs: number): Outage | undefined {
  if (outage.kind === 'Readmitting') return outage.untilMs <= atMs + longestReadmissionMs ? outage : undefined
  return outage.sinceMs <= atMs ? outage : undefined
}
