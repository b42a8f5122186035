/**
 * Judges each status by what could be seen when it was sent. It has a model of its own of what is true, and shares no code with what it
 * judges. What a status says must have been so at a moment of the last five seconds. What it says of a failure must have been so at the
 * last try, which comes every half minute where tries fail.
 */
import { type Condition, type ConditionType, conditionTypes } from '../../../../api/status.ts'
import { type Spec, serverOf, specOf, streamOf } from '../specs.ts'
import type { SentStatus, Truth, World } from '../world.ts'
import { consumersAvailable, numbers, reconciled } from './objects.ts'
import { backlog, dataIntact, drained, redisReachable, scalingActive } from './redis.ts'
import { active, desired, transitions } from './scaling.ts'
import { type Claim, freshMs, isPaused, longMs, type Sight } from './sight.ts'
import { ready, stalled, tools } from './summary.ts'

const claims: Readonly<Record<string, Claim>> = {
  replicas: numbers,
  Ready: ready,
  Stalled: stalled,
  kstatus: tools,
  Reconciled: reconciled,
  RedisReachable: redisReachable,
  ConsumersAvailable: consumersAvailable,
  ScalingActive: scalingActive,
  Drained: drained,
  DataIntact: dataIntact,
  backlog,
  desiredReplicas: desired,
  active,
  transitions,
}

export interface Judge {
  /** What of it is false; empty: nothing. Undefined: the API server refuses it anyway, since its pipeline is gone. */
  judge(sent: SentStatus, withinMs?: number): readonly string[] | undefined
  /** The network fails from now on, or fails no more. */
  noteFailure(atMs: number): void
}

export function createJudge(world: World, startMs: () => number): Judge {
  let failureMs = Number.NEGATIVE_INFINITY
  return {
    noteFailure(atMs) {
      failureMs = atMs
    },
    judge({ atMs, status, before, uid }, withinMs = freshMs) {
      const all = world.during(0, atMs)
      const fresh = world.during(atMs - withinMs, atMs)
      // Its watch may report the end of the pipeline later.
      if (fresh.at(-1)?.pipeline?.metadata.uid !== uid) return undefined
      const mine = fresh.filter(({ pipeline }) => pipeline?.metadata.uid === uid)
      const generation = status.observedGeneration ?? -1
      const isOf = ({ pipeline }: Truth) => pipeline?.metadata.uid === uid && pipeline?.metadata.generation === generation
      // Said to be unknown.
      const isBlind = status.conditions?.some(({ message }) => message.startsWith('streampipelines cannot be watched')) === true
      if (!mine.some(isOf)) return isBlind ? [] : [`generation ${generation} is over`]
      const first = all.find(isOf)
      if (first?.pipeline === undefined) return [`generation ${generation} never was`]
      const { pipeline } = first
      const sight: Sight = {
        atMs,
        status,
        before,
        generation,
        spec: specOf(pipeline),
        sinceMs: first.atMs,
        placeSinceMs: placeSince(world, specOf(pipeline), atMs),
        withinMs,
        fresh,
        long: world.during(atMs - longMs, atMs),
        statesOf: world.during,
        looks: world.looks,
        heartbeats: world.heartbeats,
        refused: world.refused,
        mayStillFail: atMs - failureMs < 315_000,
        startMs: startMs(),
      }
      return [...form(sight), ...Object.entries(claims).flatMap(([name, claim]) => findings(name, claim, sight))]
    },
  }
}

function findings(name: string, claim: Claim, sight: Sight): string[] {
  const of = (type: ConditionType): Condition =>
    sight.status.conditions?.find((condition) => condition.type === type) ?? {
      type,
      status: 'Unknown',
      reason: 'Absent',
      message: '',
      lastTransitionTime: '',
    }
  const found = claim(sight, of)
  const list = typeof found === 'object' ? found : [found]
  return list
    .filter((text) => text !== undefined)
    .map((text) =>
      name in claims && name in byType
        ? `${name}=${of(name as ConditionType).status} ${of(name as ConditionType).reason}: ${text}`
        : `${name}: ${text}`,
    )
}

const byType: Readonly<Record<string, true>> = Object.fromEntries(conditionTypes.map((type) => [type, true]))

/**
 * A spec that named another stream for a while counts only if it was looked at: while watches fail, the operator does not learn of it,
 * and looks at this stream all the while.
 */
function placeSince({ looks }: World, spec: Spec, atMs: number): number {
  const [server, stream] = [serverOf(spec), streamOf(spec)]
  // A failed command may have other arguments than those of a look.
  const elsewhere = looks.findLastIndex(
    (look) => look.atMs <= atMs && (look.server !== server || (look.ok && look.stream !== stream)),
  )
  return looks[elsewhere + 1]?.atMs ?? atMs
}

/** All conditions, of this generation. */
function form({ status, generation, fresh }: Sight): string[] {
  const { conditions = [] } = status
  const types = conditions.map(({ type }) => type).toSorted()
  if (JSON.stringify(types) !== JSON.stringify([...conditionTypes].toSorted())) return [`conditions ${types.join(', ')}`]
  const others = conditions.filter(({ observedGeneration }) => observedGeneration !== generation)
  const isKept = others.every(({ type }) => type === 'Ready') && fresh.some(({ pipeline }) => isPaused(pipeline))
  return others.length === 0 || isKept ? [] : [`generations of ${others.map(({ type }) => type).join(', ')}`]
}
