/**
 * The states of a reflector, and the only function that moves between them.
 *
 *   Empty ──Start──▶ Listing ──Listed──▶ Watching ──Ended/Failed──▶ Backoff ──Waited──▶ Watching (from where it was)
 *                       ▲  └──Failed──▶ Backoff ──Waited──▶ Listing      │
 *                       └───────────────── Expired (410) ◀───────────────┘
 *
 * Empty     before the start. Left by `Start`.
 * Listing   reads all objects. Left by `Listed`, and by `Failed`.
 * Watching  follows events from a version on. Left when the watch ends without an event, fails, or its version is gone. A watch that the
 *           server closes after events is opened again at once.
 * Backoff   waits, longer after each failure in a row; an event resets the wait. Left by `Waited`: to Watching if it keeps a version, else to
 *           Listing.
 *
 * `Relist` leads from every state but Empty to Listing.
 */
import type { StreamPipelineError } from '../../api/errors.ts'

export type ReflectorState =
  | { readonly kind: 'Empty' }
  | ({ readonly kind: 'Listing' } & Failures)
  | ({ readonly kind: 'Watching'; readonly resourceVersion: string; readonly heard: boolean } & Failures)
  /** `resourceVersion` absent: list again afterwards. */
  | ({
      readonly kind: 'Backoff'
      readonly cause: StreamPipelineError | undefined
      readonly resourceVersion?: string
    } & Failures)

/** In a row, since an event was heard last. */
interface Failures {
  readonly attempt: number
  /** Times the version was gone. */
  readonly expiries: number
}

export type ReflectorSignal =
  | { readonly kind: 'Start' }
  | { readonly kind: 'Listed'; readonly resourceVersion: string }
  | { readonly kind: 'Heard'; readonly resourceVersion: string }
  | { readonly kind: 'Ended' }
  | { readonly kind: 'Failed'; readonly error: StreamPipelineError }
  | { readonly kind: 'Waited' }
  /** The server went back to an earlier state. */
  | { readonly kind: 'Relist' }

export const none: Failures = { attempt: 0, expiries: 0 }
/** A version that is gone is ordinary, and listed anew at once; a list whose version is always gone must not spin. */
const patience = 2

/** The one transition function; signals that make no sense in a state leave it as it is. */
export function transition(state: ReflectorState, signal: ReflectorSignal): ReflectorState {
  switch (signal.kind) {
    case 'Start':
      return state.kind === 'Empty' ? { kind: 'Listing', ...none } : state
    case 'Listed':
      if (state.kind !== 'Listing') return state
      return { kind: 'Watching', resourceVersion: signal.resourceVersion, heard: false, attempt: 0, expiries: state.expiries }
    case 'Heard':
      return state.kind === 'Watching'
        ? { kind: 'Watching', resourceVersion: signal.resourceVersion, heard: true, ...none }
        : state
    case 'Ended':
      if (state.kind !== 'Watching') return state
      if (state.heard) return { ...state, heard: false }
      return backoff(state, undefined, state.expiries, state.resourceVersion)
    case 'Failed': {
      if (state.kind === 'Empty') return backoff(none, signal.error, 0)
      if (signal.error.code !== 'KubernetesExpired') {
        return backoff(state, signal.error, state.expiries, state.kind === 'Watching' ? state.resourceVersion : undefined)
      }
      const expiries = state.expiries + 1
      return expiries <= patience ? { kind: 'Listing', attempt: state.attempt, expiries } : backoff(state, signal.error, expiries)
    }
    case 'Waited': {
      if (state.kind !== 'Backoff') return state
      const { attempt, expiries, resourceVersion } = state
      if (resourceVersion === undefined) return { kind: 'Listing', attempt, expiries }
      return { kind: 'Watching', resourceVersion, heard: false, attempt, expiries }
    }
    case 'Relist':
      return state.kind === 'Empty' ? state : { kind: 'Listing', ...none }
    default:
      throw signal satisfies never
  }
}

function backoff(
  { attempt }: Pick<Failures, 'attempt'>,
  cause: StreamPipelineError | undefined,
  expiries: number,
  resourceVersion?: string,
): ReflectorState {
  return { kind: 'Backoff', attempt: attempt + 1, expiries, cause, ...(resourceVersion === undefined ? {} : { resourceVersion }) }
}
