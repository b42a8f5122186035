/**
 * The last failed attempt at one pipeline, and the time of the next. Failures are tried again after `retryEveryMs`, then after twice that,
 * up to sixty times (5 s to 5 min). A `Retry-After` is heeded. Contention is usual: it is tried again at once, with the queue's short
 * back-off, and is reported only when it lasts.
 *
 *   (none) ──failures──▶ Setback 1 ──due, failures──▶ Setback 2 ──…──▶ Setback n (5 min)
 *   any Setback ──something watched changed──▶ due `retryEveryMs` after the last try; the pauses start anew
 *   any Setback ──another spec, target, child or reference──▶ due at once
 */
import type { StreamPipelineError } from '../api/errors.ts'
import { backoffMs } from '../process/backoff.ts'
import { retryAfterMs } from './kubernetes/errors.ts'
import type { FailedWrite } from './plan/observed.ts'

export interface Setback {
  readonly failures: readonly FailedWrite[]
  /** The plan's fingerprint (fingerprintOf) after the attempt. */
  readonly fingerprint: string
  /** Attempts in a row. */
  readonly attempts: number
  /** Attempts since the last change, without immediate ones. */
  readonly retries: number
  /** The first attempt. */
  readonly sinceMs: number
  readonly triedMs: number
  readonly dueMs: number
}

/** Attempts in a row after which status reports a failure that usually passes. */
const patience = 6
/** Time after which status reports it, however few the attempts. */
const patienceMs = 5_000
/** Longest pause, in multiples of `retryEveryMs`: 5 s to 5 min. */
const longestFactor = 60
/**
 * Longest pause if each failed object belongs to another owner or is being deleted, 5 s to 30 s. No watch reports the removal of
 * another owner's object.
 */
const soonerFactor = 6

export function setbackOf(
  before: Setback | undefined,
  tried: Pick<Setback, 'failures' | 'fingerprint'>,
  nowMs: number,
  retryEveryMs: number,
  random: number,
): Setback {
  const attempts = (before?.attempts ?? 0) + 1
  const errors = tried.failures.map(({ error }) => error)
  const atOnce = attempts < patience && errors.every((error) => isPassing(error) && error.code !== 'BeingDeleted')
  const retries = atOnce ? 0 : (before?.retries ?? 0) + 1
  const longestMs = (errors.every(isUnwatched) ? soonerFactor : longestFactor) * retryEveryMs
  const waitMs = atOnce ? 0 : backoffMs(retries, { baseMs: retryEveryMs, maxMs: longestMs }, 1 - random / 5)
  const heeded = Math.max(0, ...errors.map((error) => retryAfterMs(error) ?? 0))
  const dueMs = nowMs + Math.max(waitMs, Math.min(heeded, longestMs))
  return { ...tried, attempts, retries, sinceMs: before?.sinceMs ?? nowMs, triedMs: nowMs, dueMs }
}

/** The pipeline or its objects changed, which may have removed the cause. */
export function startedAnew(setback: Setback, nowMs: number, retryEveryMs: number): Setback {
  const soonestMs = Math.max(nowMs, setback.triedMs + retryEveryMs)
  return { ...setback, retries: 0, dueMs: Math.min(setback.dueMs, soonestMs) }
}

export function isDue(setback: Setback | undefined, fingerprint: string, nowMs: number): boolean {
  return setback === undefined || setback.fingerprint !== fingerprint || nowMs >= setback.dueMs
}

/** The failures that status reports. None: they are likely to pass within seconds, and until then no status is written. */
export function worthReporting({ failures, attempts, sinceMs }: Setback, nowMs: number): readonly FailedWrite[] {
  const isLasting = attempts >= patience || nowMs - sinceMs >= patienceMs
  return isLasting ? failures : failures.filter(({ error }) => !isPassing(error))
}

function isUnwatched({ code }: StreamPipelineError): boolean {
  return code === 'NameTaken' || code === 'BeingDeleted'
}

function isPassing({ code }: StreamPipelineError): boolean {
  return code === 'KubernetesConflict' || code === 'KubernetesBusy' || code === 'KubernetesUnreachable' || code === 'BeingDeleted'
}
