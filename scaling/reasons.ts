/** One line per decision that a person understands: what was seen, what can be done about it, what was decided. */
import { formatAge } from '../api/duration.ts'
import type { ScalingPolicy } from './policy.ts'
import type { Sample } from './sample.ts'
import { workOf } from './sample.ts'

interface Facts {
  readonly sample: Sample
  readonly policy: ScalingPolicy
  readonly arrivals: number
  readonly perReplica: number | undefined
  readonly ready: number
  readonly before: number
  readonly after: number
  /** A guard's words in place of the outcome. */
  readonly because?: string
}

/** `oldest 41s > 30s target; 3 pods clear 310/s, arrivals 420/s: 5` */
export function describe(facts: Facts): string {
  const outcome = facts.because ?? (facts.after === facts.before ? 'hold' : String(facts.after))
  return `${waiting(facts)}; ${flow(facts)}: ${outcome}`
}

function waiting({ sample, policy }: Facts): string {
  if (workOf(sample) === 0) return 'nothing waits'
  if (!sample.timeIds) return `${sample.undelivered} entries wait (their ids are not times)`
  if (sample.undelivered === 0) return `${sample.orphaned} entries of vanished consumers to reclaim`
  const [age, target] = [formatAge(sample.undeliveredAgeMs), formatAge(policy.targetAgeMs)]
  if (sample.undeliveredAgeMs > policy.targetAgeMs) return `oldest ${age} > ${target} target`
  return `oldest ${age} < ${target} target, ${sample.undelivered} wait`
}

function flow({ policy, arrivals, perReplica, ready }: Facts): string {
  const pods = count(ready, policy.noun ?? 'pod')
  const speed =
    perReplica === undefined ? `${pods} ready, speed not known yet` : `${pods} ${clear(ready)} ${rate(ready * perReplica)}/s`
  return `${speed}, arrivals ${rate(arrivals)}/s`
}

export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
const clear = (n: number): string => (n === 1 ? 'clears' : 'clear')

function rate(perSecond: number): string {
  return perSecond >= 10 || perSecond === 0 ? String(Math.round(perSecond)) : perSecond.toFixed(1)
}
