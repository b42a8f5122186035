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
import { type Child, startChild } from '../child.ts'
import { createQuarantine } from '../quarantine.ts'
import type { FromJudge, ToJudge } from './messages.ts'

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
  /** The pause of the document is over: it may be judged again. */
  readonly onRelease: (key: string) => void
  readonly onFault: (error: StreamPipelineError, fields: Readonly<Record<string, unknown>>) => void
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
const idleMs = 5_000
const mostBytes = 256 * 2 ** 20

export function createJudge(parts: JudgeParts): Judge {
  const { clock, onRelease, onFault, lateMs = defaultLateMs } = parts
  const quarantine = createQuarantine(clock)
  /** The error and the version of each document set aside. */
  const aside = new Map<string, { readonly version: string; readonly error: StreamPipelineError }>()
  /** Documents by namespace, in order of arrival; the first namespace is next. */
  const lines = new Map<string, Case[]>()
  let child: Child<ToJudge> | undefined
  let ready = false
  let current: Case | undefined
  let ids = 0
  let closed = false
  let cancelTimer = () => {}
  const ending = new Set<Promise<void>>()

  function next(): Case | undefined {
    const [first] = lines
    if (first === undefined) return undefined
    const [namespace, line] = first
    const taken = line.shift()
    lines.delete(namespace)
    // The namespace goes to the end of the round.
    if (line.length > 0) lines.set(namespace, line)
    return taken
  }

  function proceed(): void {
    if (closed || current !== undefined) return
    if (lines.size === 0) {
      rest()
      return
    }
    if (child === undefined) child = start()
    if (!ready) return
    const taken = next()
    if (taken === undefined) return
    current = taken
    cancelTimer()
    const begun = child
    cancelTimer = clock.after(lateMs, () => dismiss(begun, `it took longer than ${lateMs / 1000} s`))
    child.send({ id: taken.id, value: taken.value })
  }

  function start(): Child<ToJudge> {
    const started = startChild<ToJudge, FromJudge>({
      program: 'judge',
      clock,
      // The limit for a single document ends the process earlier.
      silenceMs: 2 * lateMs,
      mostBytes,
      onReady() {
        ready = true
        proceed()
      },
      onMessage: ({ id, problems }) => {
        if (current?.id !== id) return
        current.resolve(problems)
        current = undefined
        proceed()
      },
      onEnd: ({ why, output }) => {
        if (child === started) lost(why ?? 'it ended', output)
      },
    })
    return started
  }

  function rest(): void {
    cancelTimer()
    const resting = child
    if (resting !== undefined) cancelTimer = clock.after(idleMs, () => dismiss(resting, undefined))
  }

  /** @param why fault of the document under way; undefined: no document is to blame */
  function dismiss(gone: Child<ToJudge>, why: string | undefined): void {
    if (child !== gone) return
    const end = gone.end(0).finally(() => ending.delete(end))
    ending.add(end)
    lost(why, '')
  }

  /** @param output last output of the process, for the log */
  function lost(why: string | undefined, output: string): void {
    cancelTimer()
    child = undefined
    const blamed = current === undefined ? [] : [current]
    current = undefined
    // If no process can be started, waiting documents must not wait for ever.
    if (!ready) blamed.push(...[...lines.values()].flat())
    if (!ready) lines.clear()
    ready = false
    const fields = output === '' ? {} : { output }
    if (why !== undefined && !closed) {
      for (const each of blamed) setAside(each, why, fields)
      if (blamed.length === 0) onFault(failure('Internal', { detail: `a process that judges specs ended: ${why}` }), fields)
    }
    proceed()
  }

  function setAside({ key, version, reject }: Case, detail: string, fields: Readonly<Record<string, unknown>>): void {
    const error = failure('SpecQuarantined', { detail })
    aside.set(key, { version, error })
    quarantine.put(key, () => onRelease(key))
    onFault(error, { pipeline: key, ...fields })
    reject(error)
  }

  return {
    async judge(key, version, value) {
      if (!isCostly(value)) return []
      const held = aside.get(key)
      if (held?.version === version && quarantine.holds(key)) throw held.error
      if (held !== undefined && held.version !== version) quarantine.forget(key)
      return await new Promise((resolve, reject) => {
        const namespace = key.slice(0, key.indexOf('/'))
        const line = lines.get(namespace) ?? []
        lines.set(namespace, line)
        line.push({ id: ++ids, key, version, value, resolve, reject })
        proceed()
      })
    },
    forget(key) {
      aside.delete(key)
      quarantine.forget(key)
    },
    async close() {
      closed = true
      cancelTimer()
      quarantine.close()
      const error = failure('Closed', { what: 'judge' })
      for (const each of [...[...lines.values()].flat(), ...(current === undefined ? [] : [current])]) each.reject(error)
      lines.clear()
      current = undefined
      await Promise.all([child?.end(0), ...ending])
    },
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
