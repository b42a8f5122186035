/**
 * The standing of one namespace: whether this release serves it. These functions are the only ones that change it.
 *
 *   Pending ──written──▶ Mine ──another took it──▶ Theirs ──not renewed for its duration──▶ Pending ──written──▶ Mine
 *      ├──another holds it──▶ Theirs
 *      └──cannot be written──▶ Unclaimed ──written──▶ Mine
 *
 * Pending    no release holds the Lease, as far as is known. The namespace is not served until the Lease is written.
 * Mine       this release holds the Lease, and renews it.
 * Theirs     another release holds the Lease: this one stands back.
 * Unclaimed  the Lease cannot be written. The namespace is served as if alone: a missing right must not stop what runs.
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type Lease, type SeenLease, takeableInMs } from './kubernetes/lease.ts'

export type Standing =
  | { readonly kind: 'Pending' }
  | { readonly kind: 'Mine' }
  | { readonly kind: 'Theirs'; readonly holder: string }
  | { readonly kind: 'Unclaimed'; readonly error: StreamPipelineError }

export interface Scope {
  readonly standing: Standing
  /** The Lease, and the time of its last change by our clock. */
  readonly seen: SeenLease | undefined
  readonly writtenMs: number
  /** Failed writes in a row. */
  readonly failures: number
  /** After a failed renewal: the next attempt. */
  readonly againMs: number
}

export const unknownScope: Scope = Object.freeze<Scope>({
  standing: { kind: 'Pending' },
  seen: undefined,
  writtenMs: Number.NEGATIVE_INFINITY,
  failures: 0,
  againMs: Number.NEGATIVE_INFINITY,
})

/** After so many failed writes the namespace is served without a Lease. */
export const mostFailures = 3
/** Pause after a failed renewal, times the failures in a row. */
const retryMs = 2_000

/**
 * The watch delivered the Lease, or its deletion (undefined).
 * @param repeated a list repeated the Lease, which is no renewal
 */
export function heard(scope: Scope, lease: Lease | undefined, repeated: boolean, nowMs: number): Scope {
  const keeps = repeated && scope.seen !== undefined
  const seen = lease === undefined ? undefined : keeps ? scope.seen : { lease, changedAtMs: nowMs }
  return { ...scope, failures: 0, againMs: Number.NEGATIVE_INFINITY, seen }
}

/** The standing by the Lease. A Lease that may be taken counts as none. */
export function judged(scope: Scope, release: string, nowMs: number): Scope {
  const holder = holderOf(scope)
  if (holder === release) return { ...scope, standing: { kind: 'Mine' } }
  if (holder !== '' && isHeld(scope, nowMs)) return { ...scope, standing: { kind: 'Theirs', holder } }
  return scope.standing.kind === 'Theirs' ? { ...scope, standing: { kind: 'Pending' } } : scope
}

/** The write of the Lease failed. */
export function refused(scope: Scope, thrown: unknown, startedMs: number, durationMs: number): Scope {
  const failures = scope.failures + 1
  const againMs = startedMs + Math.min(durationMs / 4, retryMs * failures)
  // Another release wrote it: the watch delivers its Lease.
  const isRace = isFailure(thrown, 'KubernetesConflict')
  const isUnclaimed = scope.standing.kind !== 'Mine' && (failures >= mostFailures || (!isRace && isLasting(thrown)))
  const standing: Standing = isUnclaimed ? { kind: 'Unclaimed', error: asFailure(thrown) } : scope.standing
  return { ...scope, failures, againMs, standing }
}

/** Whether the Lease is to be written. */
export function isDue({ standing, writtenMs, failures, againMs }: Scope, nowMs: number, durationMs: number): boolean {
  switch (standing.kind) {
    case 'Pending':
      return true
    case 'Theirs':
      return false
    case 'Mine':
      return nowMs - writtenMs >= durationMs / 4 && nowMs >= againMs
    case 'Unclaimed':
      // Tries again as seldom as it would renew, so as not to load a failing server.
      return failures === 0 || nowMs - writtenMs >= durationMs / 4
    default:
      throw standing satisfies never
  }
}

export function isHeld({ seen }: Scope, nowMs: number): boolean {
  return seen !== undefined && takeableInMs(seen, nowMs) > 0
}

export function isSame(one: Standing, other: Standing): boolean {
  return one.kind === other.kind && (one.kind !== 'Theirs' || other.kind !== 'Theirs' || one.holder === other.holder)
}

const holderOf = ({ seen }: Scope) => seen?.lease.spec?.holderIdentity ?? ''

/** Errors that an immediate retry does not mend. */
function isLasting(thrown: unknown): boolean {
  return (
    isFailure(thrown, 'KubernetesForbidden') ||
    isFailure(thrown, 'KubernetesNotFound') ||
    isFailure(thrown, 'NamespaceTerminating') ||
    isFailure(thrown, 'KubernetesRefused')
  )
}
