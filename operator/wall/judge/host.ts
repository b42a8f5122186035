/**
 * Judges the parts of a spec that its author can make costly: the payload's schema with its patterns, and schedules. A process of its own
 * judges one document at a time, with namespaces in turn, and exists only while there are documents. A document that takes too long, or
 * that ends the process, is set aside for a growing pause. The next one gets another process.
 *
 *   Idle ──judge──▶ Starting ──ready──▶ Judging ──answer──▶ Judging | Resting ──idle──▶ Idle
 *                                          └──late, or the process ends──▶ the document is set aside ──▶ Idle
 */
import { failure, type StreamPipelineError } from '../../../api/errors.ts'
import { isRecord, type Problem } from '../../../api/validation/problem.ts'
import type { Clock } from '../../../process/clock.ts'
import { createFairLine } from '../../kubernetes/fairline.ts'
import { splitKey } from '../../kubernetes/objects.ts'
import { createQuarantine } from '../quarantine.ts'
import type { FromJudge } from './messages.ts'
import { createJudgeProcess, type JudgeProcess, type Loss } from './process.ts'

interface Judge {
  /**
   * @param key `namespace/name`
   * @param version distinguishes specs of one key: a new one is judged at once
   * @param value a document with its defaults in
   * @throws SpecQuarantined
   */
  judge(key: string, version: string, value: unknown): Promise<readonly Problem[]>
  forget(key: string): void
  /** Idempotent. */
  close(): Promise<void>
}

interface JudgeParts {
  readonly clock: Clock
  /** Folder of the bundled program; default: beside this one. */
  readonly programs?: string | undefined
  /** The pause of the document is over: it may be judged again. */
  readonly onRelease: (key: string) => void
  readonly onFailure: (error: StreamPipelineError, fields: Readonly<Record<string, unknown>>) => void
  /** Longest time for one document. */
  readonly lateMs?: number
}

interface Case {
  readonly id: number
  readonly key: string
  readonly version: string
  readonly value: unknown
  readonly resolve: (problems: readonly Problem[]) => void
  readonly reject: (error: Error) => void
}

/** A schema of a megabyte takes a tenth of that, but other processes may use the processor meanwhile. */
const defaultLateMs = 5_000

export function createJudge(parts: JudgeParts): Judge {
  const { clock, programs, onRelease, onFailure, lateMs = defaultLateMs } = parts
  const quarantine = createQuarantine(clock)
  /** The error and the version of each document set aside. */
  const aside = new Map<string, { readonly version: string; readonly error: StreamPipelineError }>()
  const waiting = createWaiting()
  const judging: JudgeProcess = createJudgeProcess({ clock, programs, lateMs, onReady: proceed, onAnswer, onLost })
  let current: Case | undefined
  let ids = 0
  let closed = false

  function proceed(): void {
    if (closed || current !== undefined) return
    if (waiting.isEmpty) {
      judging.rest()
      return
    }
    if (!judging.start()) return
    current = waiting.next()
    if (current !== undefined) judging.send({ id: current.id, value: current.value })
  }

  function onAnswer({ id, problems }: FromJudge): void {
    if (current?.id !== id) return
    current.resolve(problems)
    current = undefined
    proceed()
  }

  function onLost({ why, output, wasReady }: Loss): void {
    const blamed = current === undefined ? [] : [current]
    current = undefined
    // If no process can be started, waiting documents must not wait for ever.
    if (!wasReady) blamed.push(...waiting.clear())
    const fields = output === '' ? {} : { output }
    if (why !== undefined && !closed) {
      for (const each of blamed) setAside(each, why, fields)
      if (blamed.length === 0) onFailure(failure('Internal', { detail: `a process that judges specs ended: ${why}` }), fields)
    }
    proceed()
  }

  function setAside({ key, version, reject }: Case, detail: string, fields: Readonly<Record<string, unknown>>): void {
    const error = failure('SpecQuarantined', { detail })
    aside.set(key, { version, error })
    quarantine.put(key, () => onRelease(key))
    onFailure(error, { pipeline: key, ...fields })
    reject(error)
  }

  return {
    async judge(key, version, value) {
      if (!isCostly(value)) return []
      const held = aside.get(key)
      if (held?.version === version && quarantine.holds(key)) throw held.error
      if (held !== undefined && held.version !== version) quarantine.forget(key)
      return await new Promise((resolve, reject) => {
        waiting.add({ id: ++ids, key, version, value, resolve, reject })
        proceed()
      })
    },
    forget(key) {
      aside.delete(key)
      quarantine.forget(key)
    },
    async close() {
      closed = true
      quarantine.close()
      const error = failure('Closed', { what: 'judge' })
      for (const each of [...waiting.clear(), ...(current === undefined ? [] : [current])]) each.reject(error)
      current = undefined
      await judging.close()
    },
  }
}

/** Documents that wait. The namespaces take turns, each with its oldest document. */
function createWaiting() {
  const line = createFairLine()
  const cases = new Map<string, Case>()
  return {
    add(each: Case) {
      // Two versions of one document may wait.
      const place = `${splitKey(each.key).namespace}/${each.id}`
      cases.set(place, each)
      line.add(place)
    },
    next(): Case | undefined {
      const place = line.take(() => true) ?? ''
      const taken = cases.get(place)
      cases.delete(place)
      return taken
    },
    get isEmpty() {
      return line.size === 0
    },
    clear: (): readonly Case[] =>
      line.clear().flatMap((place) => {
        const left = cases.get(place) ?? []
        cases.delete(place)
        return left
      }),
  }
}

/** Most specs have neither a schema nor schedules, and need no process. */
function isCostly(value: unknown): boolean {
  const spec = isRecord(value) ? value['spec'] : undefined
  if (!isRecord(spec)) return false
  const { payload, scaling } = spec
  const schedules = isRecord(scaling) ? scaling['schedules'] : undefined
  return (isRecord(payload) && payload['schema'] !== undefined) || (Array.isArray(schedules) && schedules.length > 0)
}
