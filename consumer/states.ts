/**
 * The consumer's states, and the only function that moves between them.
 *
 * Starting       connecting, checking the server, making the group. Left by `Started`, or by `DrainRequested`. Failures keep it
 *                here and are logged; the process gives up after a time (exit 69).
 * Running        reading and settling. `failures` counts the backend failures since the last batch that settled. A server may
 *                answer PING and refuse writes (OOM, READONLY). So only a settled batch resets the back-off.
 * Backpressured  the queue holds more waiting jobs than `maxWaiting`; nothing is read, since backlog belongs in the stream,
 *                where it is cheap and visible. What is in flight goes on. Left below 80 % of the limit.
 * BackendDown    Redis is unreachable or refuses commands. Nothing is read; batches in flight wait and are tried again, their
 *                entries stay pending, and no entry's delivery count moves, however long it lasts. Left when Redis answers.
 * Draining       asked to stop: no more reading; what is held is finished until the deadline, the rest is handed back.
 * Stopped        the end. `clean` says whether everything held was settled or handed back.
 */
import type { StreamPipelineError } from '../api/errors.ts'
import type { Backoff } from '../process/backoff.ts'

export type ConsumerState =
  | { readonly kind: 'Starting'; readonly since: number; readonly failure?: StreamPipelineError }
  | { readonly kind: 'Running'; readonly since: number; readonly failures: number }
  | { readonly kind: 'Backpressured'; readonly since: number; readonly waiting: number }
  | {
      readonly kind: 'BackendDown'
      readonly since: number
      readonly failures: number
      readonly failure: StreamPipelineError
    }
  | { readonly kind: 'Draining'; readonly since: number; readonly deadline: number }
  | { readonly kind: 'Stopped'; readonly since: number; readonly clean: boolean }

export type ConsumerEvent =
  | { readonly kind: 'StartFailed'; readonly failure: StreamPipelineError }
  | { readonly kind: 'Started' }
  | { readonly kind: 'BatchSettled'; readonly waiting: number }
  | { readonly kind: 'BackendFailed'; readonly failure: StreamPipelineError }
  | { readonly kind: 'BackendAnswered' }
  | { readonly kind: 'DrainRequested'; readonly deadline: number }
  | { readonly kind: 'Drained'; readonly clean: boolean }

/** Reading starts again when the queue has fallen to this share of its limit: the band keeps the state from fluttering. */
const resumeShare = 0.8

/** @returns the next state; the same object where the event changes nothing */
export function transition(state: ConsumerState, event: ConsumerEvent, now: number, maxWaiting: number): ConsumerState {
  if (state.kind === 'Stopped') return state
  if (event.kind === 'Drained') return { kind: 'Stopped', since: now, clean: event.clean }
  if (state.kind === 'Draining') return state
  switch (event.kind) {
    case 'DrainRequested':
      return { kind: 'Draining', since: now, deadline: event.deadline }
    case 'StartFailed':
      return state.kind === 'Starting' ? { ...state, failure: event.failure } : state
    case 'Started':
      return state.kind === 'Starting' ? { kind: 'Running', since: now, failures: 0 } : state
    case 'BackendFailed':
      return state.kind === 'Starting' ? state : backendDown(state, event.failure, now)
    case 'BackendAnswered':
      return state.kind === 'BackendDown' ? { kind: 'Running', since: now, failures: state.failures } : state
    case 'BatchSettled':
      return settled(state, event.waiting, now, maxWaiting)
    default:
      return event satisfies never
  }
}

type Live = Extract<ConsumerState, { kind: 'Running' | 'Backpressured' | 'BackendDown' }>

function backendDown(state: Live, failure: StreamPipelineError, now: number): ConsumerState {
  switch (state.kind) {
    case 'BackendDown':
      // Several batches fail together: one outage, one failure.
      return { ...state, failure }
    case 'Running':
      return { kind: 'BackendDown', since: now, failures: state.failures + 1, failure }
    case 'Backpressured':
      return { kind: 'BackendDown', since: now, failures: 1, failure }
    default:
      return state satisfies never
  }
}

function settled(
  state: Exclude<ConsumerState, { kind: 'Stopped' | 'Draining' }>,
  waiting: number,
  now: number,
  maxWaiting: number,
) {
  switch (state.kind) {
    case 'Running':
      if (waiting > maxWaiting) return { kind: 'Backpressured', since: now, waiting } as const
      return state.failures === 0 ? state : ({ ...state, failures: 0 } as const)
    case 'Backpressured':
      if (waiting <= maxWaiting * resumeShare) return { kind: 'Running', since: now, failures: 0 } as const
      return { ...state, waiting } as const
    case 'Starting':
    case 'BackendDown':
      return state
    default:
      return state satisfies never
  }
}

/** Whether new entries may be read now. */
export function mayRead(state: ConsumerState): boolean {
  return state.kind === 'Running'
}

/** Whether the consumer does its work: what `/readyz` says. */
export function isReady(state: ConsumerState): boolean {
  return state.kind === 'Running' || state.kind === 'Backpressured'
}

/** The wait before Redis is asked again. */
export const redisBackoff: Backoff = { baseMs: 100, maxMs: 10_000 }
