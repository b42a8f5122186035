/** The scaling loop of a local run: observe, decide, scale the fleet, remember the sample. One turn at a time. */
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure } from '../api/errors.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { streamPlace } from '../redis/placement.ts'
import { readAccount, waitingIn } from '../redis/stream/account.ts'
import { observe } from '../sampling/observe.ts'
import type { Decision } from '../scaling/decide.ts'
import type { LoggedDecision } from '../scaling/decisionlog.ts'
import { scalingPolicy } from '../scaling/policy.ts'
import { isReady, type Sample } from '../scaling/sample.ts'
import { soundDecision } from '../scaling/sounddecision.ts'
import { type Book, follow, openBook } from './book.ts'
import { describeOther, type Other, othersIn } from './company.ts'
import type { Fleet } from './fleet.ts'
import type { Opening } from './opening.ts'
import { describeInterruption } from './summary.ts'

export interface Control {
  /** One turn. Never throws: a Redis that cannot be asked is a missing sample. */
  turn(): Promise<void>
  /** The look alone, without a decision: at the end, to see changes since the last turn. Never throws. */
  look(): Promise<void>
  /** The last turn's sample; undefined while Redis cannot be asked. */
  readonly sample: Sample | undefined
  readonly decision: Decision | undefined
  readonly book: Book
  /** Most consumers of this run that took entries at the same time. */
  readonly maxReplicas: number
  /** Consumers of others that read the group now. */
  readonly others: number
  /** Names of all those of others that were seen. */
  readonly othersSeen: ReadonlySet<string>
}

interface ControlParts {
  readonly pipeline: CompiledPipeline
  readonly redis: RedisConnection
  readonly queue: RedisConnection
  readonly fleet: Fleet
  readonly opening: Opening
  /** Prefix of the uids of this run's consumers. */
  readonly uidPrefix: string
  readonly onEvent: (line: string) => void
  /** Each decision with all of its inputs, as the decision log has it. */
  readonly onDecision?: ((logged: Omit<LoggedDecision, 'version'>) => void) | undefined
}

/** A quarter of the target age, so that a backlog is seen in time. */
export function tickMs(targetAgeMs: number): number {
  return Math.min(5_000, Math.max(250, targetAgeMs / 4))
}

export function createControl(parts: ControlParts): Control {
  const { pipeline, redis, queue, fleet, opening, uidPrefix, onEvent, onDecision } = parts
  const place = streamPlace(pipeline)
  const ours = (uid: string) => uid.startsWith(uidPrefix)
  let sample: Sample | undefined
  let decision: Decision | undefined
  let book = openBook(opening.account)
  let maxReplicas = 0
  let others: readonly Other[] = opening.others
  const known = new Set(others.map(lifeOf))
  const othersSeen = new Set(others.map(({ name }) => name))
  let outage: string | undefined

  async function look(): Promise<Sample | undefined> {
    try {
      const [seen, account] = await Promise.all([observe(redis, pipeline, queue), readAccount(redis, place)])
      if (outage !== undefined) onEvent('Redis answers again')
      outage = undefined
      const before = book.ended.length
      book = follow(book, account)
      for (const { how, latest } of book.ended.slice(before)) onEvent(describeInterruption(how, waitingIn(latest)))
      return seen
    } catch (thrown) {
      const { code, message } = asFailure(thrown)
      if (outage !== code) onEvent(message)
      outage = code
      return undefined
    }
  }

  function meet(seen: Sample): void {
    others = othersIn(seen, ours)
    for (const other of others) {
      othersSeen.add(other.name)
      if (known.has(lifeOf(other))) continue
      known.add(lifeOf(other))
      onEvent(`another consumer reads the group now: ${describeOther(other)}; each entry goes to one of them`)
    }
  }

  function countReady(seen: Sample): void {
    let ready = 0
    for (const { heartbeat } of seen.consumers) {
      if (heartbeat === undefined || !ours(heartbeat.uid) || !isReady(heartbeat, seen.atMs)) continue
      fleet.markReady(heartbeat.uid)
      ready++
    }
    maxReplicas = Math.max(maxReplicas, ready)
  }

  async function see(): Promise<void> {
    sample = await look()
    if (sample === undefined) return
    meet(sample)
    countReady(sample)
  }

  let lastFailure: string | undefined

  return {
    look: see,
    async turn() {
      await see()
      const before = decision?.replicas
      const state = decision?.state
      const policy = { ...scalingPolicy(pipeline, running(fleet)), noun: 'consumer' }
      let failure: string | undefined
      decision = soundDecision(state, sample, policy, (thrown) => {
        failure ??= asFailure(thrown).message
        // It may come with each turn.
        if (failure !== lastFailure)
          onEvent(`a scaling decision failed, and was made again without the state or sample that caused the failure: ${failure}`)
      })
      lastFailure = failure
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
    get book() {
      return book
    },
    get maxReplicas() {
      return maxReplicas
    },
    get others() {
      return others.length
    },
    othersSeen,
  }
}

/** Consumers of this run. Those of others that read the group are not this run's to stop. */
const running = (fleet: Fleet): number => fleet.replicas().filter(({ state }) => state.kind !== 'Draining').length

const lifeOf = ({ name, uid }: Other) => `${name} ${uid}`
