/** The scaling loop of a local run: observe, decide, scale the fleet, remember what was seen. One turn at a time. */
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure } from '../api/errors.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { type Decision, decide } from '../scaling/decide.ts'
import type { LoggedDecision } from '../scaling/decisionlog.ts'
import { observe } from '../scaling/observe.ts'
import { scalingPolicy } from '../scaling/policy.ts'
import { isReady, type Sample } from '../scaling/sample.ts'
import type { Fleet } from './fleet.ts'
import { type Tally, type Totals, tally, totalsOf } from './totals.ts'

export interface Control {
  /** One turn. Never throws: a Redis that cannot be asked is a missing sample. */
  turn(): Promise<void>
  /** The last turn's sample; undefined while Redis cannot be asked. */
  readonly sample: Sample | undefined
  readonly decision: Decision | undefined
  readonly totals: Totals
  /** Most consumers of this run that took entries at the same time. */
  readonly maxReplicas: number
}

interface ControlParts {
  readonly pipeline: CompiledPipeline
  readonly redis: RedisConnection
  readonly queue: RedisConnection
  readonly fleet: Fleet
  /** What this run's consumers' uids begin with. */
  readonly uidPrefix: string
  readonly onEvent: (line: string) => void
  /** Each decision with all it was made of, as the decision log has it. */
  readonly onDecision?: ((logged: Omit<LoggedDecision, 'version'>) => void) | undefined
}

/** Often enough to see a backlog at a quarter of the target age. */
export function tickMs(targetAgeMs: number): number {
  return Math.min(5_000, Math.max(250, targetAgeMs / 4))
}

export function createControl(parts: ControlParts): Control {
  const { pipeline, redis, queue, fleet, uidPrefix, onEvent, onDecision } = parts
  const policy = { ...scalingPolicy(pipeline), noun: 'consumer' }
  const ours = (uid: string) => uid.startsWith(uidPrefix)
  let sample: Sample | undefined
  let decision: Decision | undefined
  let counted: Tally = new Map()
  let maxReplicas = 0
  let outage: string | undefined

  async function look(): Promise<Sample | undefined> {
    try {
      const seen = await observe(redis, pipeline, queue)
      if (outage !== undefined) onEvent('Redis answers again')
      outage = undefined
      return seen
    } catch (thrown) {
      const { code, message } = asFailure(thrown)
      if (outage !== code) onEvent(message)
      outage = code
      return undefined
    }
  }

  function follow(seen: Sample): void {
    counted = tally(counted, seen, ours)
    let ready = 0
    for (const { heartbeat } of seen.consumers) {
      if (heartbeat === undefined || !ours(heartbeat.uid) || !isReady(heartbeat, seen.atMs)) continue
      fleet.markReady(heartbeat.uid)
      ready++
    }
    maxReplicas = Math.max(maxReplicas, ready)
  }

  return {
    async turn() {
      sample = await look()
      if (sample !== undefined) follow(sample)
      const before = decision?.replicas
      const state = decision?.state
      decision = decide(state, sample, policy)
      const name = `${pipeline.namespace}/${pipeline.name}`
      onDecision?.({ pipeline: name, sample: sample ?? null, state: state ?? null, policy, decision })
      if (before !== undefined && decision.replicas !== before) {
        onEvent(`replicas ${before} -> ${decision.replicas}: ${decision.reason}`)
      }
      fleet.scaleTo(decision.replicas)
    },
    get sample() {
      return sample
    },
    get decision() {
      return decision
    },
    get totals() {
      return totalsOf(counted)
    },
    get maxReplicas() {
      return maxReplicas
    },
  }
}
