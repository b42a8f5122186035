/**
 * What could not be carried out, and when it is tried again. One pipeline's faults are tried again after `faultsEveryMs`, then after
 * twice that, up to sixty times (5 s to 5 min); a `Retry-After` is heeded. Contention is no news: it is tried again at once, with the
 * queue's short back-off, and told only when it does not pass.
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
  /** Everything the plan rested on (basisOf), once it had been tried. */
  readonly basis: string
  /** Tries in a row. */
  readonly attempts: number
  /** Of those, since something changed, and without those that are made at once. */
  readonly retries: number
  readonly triedMs: number
  readonly dueMs: number
}

/** Tries in a row after which a fault that usually passes is told. */
const patience = 6
/** 5 s to 5 min. */
const longestFactor = 60
/** 5 s to 30 s: nothing is refused, and no watch tells when a stranger's object goes. */
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
  return { ...tried, attempts, retries, triedMs: nowMs, dueMs }
}

/** Something about the pipeline or its objects changed: it may have been what stood in the way. */
export function startedAnew(setback: Setback, nowMs: number, faultsEveryMs: number): Setback {
  const soonestMs = Math.max(nowMs, setback.triedMs + faultsEveryMs)
  return { ...setback, retries: 0, dueMs: Math.min(setback.dueMs, soonestMs) }
}

export function isDue(setback: Setback | undefined, basis: string, nowMs: number): boolean {
  return setback === undefined || setback.basis !== basis || nowMs >= setback.dueMs
}

/** Those of its faults that status tells of. */
export function worthTelling({ faults, attempts }: Setback): readonly Fault[] {
  return attempts >= patience ? faults : faults.filter(({ error }) => !isPassing(error))
}

function isUnwatched({ code }: StreamPipelineError): boolean {
  return code === 'NameTaken' || code === 'BeingDeleted'
}

export function isPassing({ code }: StreamPipelineError): boolean {
  return code === 'KubernetesConflict' || code === 'KubernetesBusy' || code === 'KubernetesUnreachable' || code === 'BeingDeleted'
}
