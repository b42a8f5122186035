/**
 * The last failed attempt at one pipeline, and the time of the next. Faults are tried again after `faultsEveryMs`, then after twice that,
 * up to sixty times (5 s to 5 min). A `Retry-After` is heeded. Contention is usual: it is tried again at once, with the queue's short
 * back-off, and is reported only when it lasts.
 *
 *   (none) ──faults──▶ Setback 1 ──due, faults──▶ Setback 2 ──…──▶ Setback n (5 min)
 *                          ▲ ──something watched changed──▶ due `faultsEveryMs` after the last try, counted from one
 *                          └── another spec, course, child or reference: at once
 */
import type { StreamPipelineError } from '../api/errors.ts'
import { backoffMs } from '../process/backoff.ts'
import { retryAfterMs } from './kubernetes/errors.ts'
import type { Fault } from './plan/observed.ts'

export interface Setback {
  readonly faults: readonly Fault[]
  /** The plan's basis (basisOf) after the attempt. */
  readonly basis: string
  /** Attempts in a row. */
  readonly attempts: number
  /** Attempts since the last change, without immediate ones. */
  readonly retries: number
  /** The first attempt. */
  readonly sinceMs: number
  readonly triedMs: number
  readonly dueMs: number
}

/** Attempts in a row after which status reports a fault that usually passes. */
const patience = 6
/** Time after which status reports it, however few the attempts. */
const patienceMs = 5_000
/** Longest pause, in multiples of `faultsEveryMs`: 5 s to 5 min. */
const longestFactor = 60
/** Longest pause if no write was refused, 5 s to 30 s: no watch reports the removal of another owner's object. */
const soonerFactor = 6

export function setbackOf(
  before: Setback | undefined,
  tried: Pick<Setback, 'faults' | 'basis'>,
  nowMs: number,
  faultsEveryMs: number,
  random: number,
): Setback {
  const attempts = (before?.attempts ?? 0) + 1
  const errors = tried.faults.map(({ error }) => error)
  const atOnce = attempts < patience && errors.every((error) => isPassing(error) && error.code !== 'BeingDeleted')
  const retries = atOnce ? 0 : (before?.retries ?? 0) + 1
  const longestMs = (errors.every(isUnwatched) ? soonerFactor : longestFactor) * faultsEveryMs
  const waitMs = atOnce ? 0 : backoffMs(retries, { baseMs: faultsEveryMs, maxMs: longestMs }, 1 - random / 5)
  const heeded = Math.max(0, ...errors.map((error) => retryAfterMs(error) ?? 0))
  const dueMs = nowMs + Math.max(waitMs, Math.min(heeded, longestMs))
  return { ...tried, attempts, retries, sinceMs: before?.sinceMs ?? nowMs, triedMs: nowMs, dueMs }
}

/** The pipeline or its objects changed, which may have removed the cause. */
export function startedAnew(setback: Setback, nowMs: number, faultsEveryMs: number): Setback {
  const soonestMs = Math.max(nowMs, setback.triedMs + faultsEveryMs)
  return { ...setback, retries: 0, dueMs: Math.min(setback.dueMs, soonestMs) }
}

export function isDue(setback: Setback | undefined, basis: string, nowMs: number): boolean {
  return setback === undefined || setback.basis !== basis || nowMs >= setback.dueMs
}

/** The faults that status reports. None: they are likely to pass within seconds, and until then no status is written. */
export function worthTelling({ faults, attempts, sinceMs }: Setback, nowMs: number): readonly Fault[] {
  const isLasting = attempts >= patience || nowMs - sinceMs >= patienceMs
  return isLasting ? faults : faults.filter(({ error }) => !isPassing(error))
}

function isUnwatched({ code }: StreamPipelineError): boolean {
  return code === 'NameTaken' || code === 'BeingDeleted'
}

function isPassing({ code }: StreamPipelineError): boolean {
  return code === 'KubernetesConflict' || code === 'KubernetesBusy' || code === 'KubernetesUnreachable' || code === 'BeingDeleted'
}
