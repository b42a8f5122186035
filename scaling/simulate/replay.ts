/**
 * Runs a decision log again. A log does not show the effect of other replicas on the backlog, so another policy decides on the same
 * samples. That is exact for the first change, and a good guess while the two do not drift far apart.
 */
import { isDeepStrictEqual } from 'node:util'
import type { CompiledScaling } from '../../api/compiled.ts'
import { type Decision, decide } from '../decide.ts'
import type { LoggedDecision } from '../decisionlog.ts'
import type { ScalingPolicy } from '../policy.ts'
import type { ScalingState } from '../state.ts'

interface Change {
  /** Server time; undefined where there was no sample. */
  readonly at?: string
  readonly recorded: number
  readonly now: number
  readonly recordedReason: string
  readonly nowReason: string
}

interface Replay {
  readonly decisions: number
  /** With the recorded states and policies, decisions that came out otherwise: 0, unless the log is of another version. */
  readonly notReproduced: number
  /** Stretches in which the number differs; its first decision describes each. */
  readonly changes: readonly Change[]
  readonly differing: number
  readonly recordedReplicaHours: number
  readonly replicaHours: number
  readonly recordedMost: number
  readonly most: number
}

/** One decision: the logged one and the recomputed one. */
export interface ReplayedDecision {
  readonly logged: LoggedDecision
  readonly now: Decision
  readonly targetAgeMs: number
}

/**
 * @param scaling the other policy; undefined: only whether the log reproduces
 * @param onDecision called with each decision
 */
export function replay(
  log: readonly LoggedDecision[],
  scaling?: CompiledScaling,
  onDecision: (replayed: ReplayedDecision) => void = () => {},
): Replay {
  const changes: Change[] = []
  let state: ScalingState | undefined
  let [notReproduced, differing, recordedMost, most, recordedMs, ms] = [0, 0, 0, 0, 0, 0]
  let differed = false
  let lastMs: number | undefined
  /** The decision before, which held until this one. */
  let [recordedRan, ran] = [0, 0]
  for (const logged of log) {
    const { sample, state: before, policy, decision } = logged
    const again = decide(before ?? undefined, sample ?? undefined, policy)
    if (!isDeepStrictEqual(JSON.parse(JSON.stringify(again)), decision)) notReproduced++
    const other = decide(state ?? before ?? undefined, sample ?? undefined, asked(policy, scaling))
    state = other.state
    onDecision({ logged, now: other, targetAgeMs: asked(policy, scaling).targetAgeMs })
    const differs = other.replicas !== decision.replicas
    if (differs) differing++
    if (differs && !differed) {
      changes.push({
        ...(sample === null ? {} : { at: new Date(sample.atMs).toISOString() }),
        recorded: decision.replicas,
        now: other.replicas,
        recordedReason: decision.reason,
        nowReason: other.reason,
      })
    }
    differed = differs
    const spanMs = sample === null || lastMs === undefined ? 0 : Math.max(0, sample.atMs - lastMs)
    lastMs = sample?.atMs ?? lastMs
    recordedMs += spanMs * recordedRan
    ms += spanMs * ran
    ;[recordedRan, ran] = [decision.replicas, other.replicas]
    recordedMost = Math.max(recordedMost, decision.replicas)
    most = Math.max(most, other.replicas)
  }
  const hours = (value: number) => Math.round(value / 36_000) / 100
  return {
    decisions: log.length,
    notReproduced,
    changes,
    differing,
    recordedReplicaHours: hours(recordedMs),
    replicaHours: hours(ms),
    recordedMost,
    most,
  }
}

/** Keeps the fields of the recorded policy that are no part of a scaling section. A scaling field that the other policy omits is omitted. */
function asked(policy: ScalingPolicy, scaling: CompiledScaling | undefined): ScalingPolicy {
  if (scaling === undefined) return policy
  const { scaleDownDelayMs: _, ...rest } = policy
  return { ...rest, ...scaling }
}

export function replayText(replayed: Replay): string {
  const { decisions, notReproduced, changes, differing, recordedReplicaHours, replicaHours, recordedMost, most } = replayed
  const shown = changes.slice(0, 20)
  return [
    `${decisions} decisions, ${notReproduced === 0 ? 'all' : decisions - notReproduced} reproduced as recorded`,
    `${differing} would have been others; replica-hours ${recordedReplicaHours} -> ${replicaHours}, most replicas ${recordedMost} -> ${most}`,
    ...(shown.length === 0 ? [] : ['the first decision of each stretch that differs, replicas recorded -> now:']),
    ...shown.flatMap(({ at, recorded, now, recordedReason, nowReason }) => [
      `  ${at ?? 'without metrics'}: ${recorded} -> ${now}`,
      `    was: ${recordedReason}`,
      `    now: ${nowReason}`,
    ]),
    ...(changes.length > shown.length ? [`  and ${changes.length - shown.length} more`] : []),
  ].join('\n')
}
