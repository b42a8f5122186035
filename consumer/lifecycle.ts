/**
 * The one place that holds the consumer's state: events go in, listeners hear each change, and each part may wait for a state.
 */
import type { StreamPipelineError } from '../api/errors.ts'
import { type ConsumerEvent, type ConsumerState, transition } from './states.ts'

export interface Lifecycle {
  readonly state: ConsumerState
  /** Aborted once draining begins: sleeping loops wake and end. */
  readonly draining: AbortSignal
  dispatch(event: ConsumerEvent): void
  backendFailed(failure: StreamPipelineError): void
  onChange(listener: (state: ConsumerState, previous: ConsumerState) => void): void
  /** Resolves when `wanted` holds for the state, at once or later. */
  until(wanted: (state: ConsumerState) => boolean): Promise<ConsumerState>
}

export function createLifecycle(maxWaiting: number, clock: () => number): Lifecycle {
  let state: ConsumerState = { kind: 'Starting', since: clock() }
  const draining = new AbortController()
  const listeners = new Set<(state: ConsumerState, previous: ConsumerState) => void>()

  const dispatch = (event: ConsumerEvent) => {
    const previous = state
    state = transition(state, event, clock(), maxWaiting)
    if (state === previous) return
    if (state.kind === 'Draining' || state.kind === 'Stopped') draining.abort()
    for (const listener of [...listeners]) listener(state, previous)
  }

  return {
    get state() {
      return state
    },
    draining: draining.signal,
    dispatch,
    backendFailed: (failure) => dispatch({ kind: 'BackendFailed', failure }),
    onChange: (listener) => void listeners.add(listener),
    async until(wanted) {
      if (wanted(state)) return state
      return await new Promise<ConsumerState>((resolve) => {
        const listener = (next: ConsumerState) => {
          if (!wanted(next)) return
          listeners.delete(listener)
          resolve(next)
        }
        listeners.add(listener)
      })
    },
  }
}
