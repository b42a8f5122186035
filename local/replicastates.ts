/**
 * The states of one consumer process under supervision, and the only function that moves between them.
 *
 * Starting     the process runs and has not reported itself ready. Left by `Ready`, by `Exited`, by `DrainRequested`.
 * Running      it takes entries. It may become unready again (Redis away). Its heartbeat shows that, not this state.
 * BackingOff   it ended unasked and is started again at `until`, under the same name, so that it finds its entries in its
 *              own pending list. `crashes` counts ends in a row. A process that ran for a while starts the count anew.
 * Draining     asked to stop (SIGTERM): it finishes or hands back its entries.
 * Stopped      the end.
 */
import { type Backoff, backoffMs } from '../process/backoff.ts'
import type { Exit } from './child.ts'

export type ReplicaState =
  | { readonly kind: 'Starting'; readonly since: number; readonly crashes: number }
  | { readonly kind: 'Running'; readonly since: number; readonly crashes: number }
  | { readonly kind: 'BackingOff'; readonly until: number; readonly crashes: number; readonly exit: Exit }
  | { readonly kind: 'Draining'; readonly since: number }
  | { readonly kind: 'Stopped' }

export type ReplicaEvent =
  | { readonly kind: 'Spawned' }
  | { readonly kind: 'Ready' }
  | { readonly kind: 'Exited'; readonly exit: Exit }
  | { readonly kind: 'DrainRequested' }

const restart: Backoff = { baseMs: 200, maxMs: 10_000 }
/** A process that ran for this long did not fail at its start. */
const soundAfterMs = 30_000

export function transition(state: ReplicaState, event: ReplicaEvent, now: number): ReplicaState {
  switch (state.kind) {
    case 'Starting':
    case 'Running':
      return live(state, event, now)
    case 'BackingOff':
      if (event.kind === 'Spawned') return { kind: 'Starting', since: now, crashes: state.crashes }
      return event.kind === 'DrainRequested' ? { kind: 'Stopped' } : state
    case 'Draining':
      return event.kind === 'Exited' ? { kind: 'Stopped' } : state
    case 'Stopped':
      return state
    default:
      return state satisfies never
  }
}

function live(state: Extract<ReplicaState, { kind: 'Starting' | 'Running' }>, event: ReplicaEvent, now: number): ReplicaState {
  switch (event.kind) {
    case 'Ready':
      return state.kind === 'Starting' ? { kind: 'Running', since: now, crashes: state.crashes } : state
    case 'Exited': {
      const crashes = state.kind === 'Running' && now - state.since >= soundAfterMs ? 1 : state.crashes + 1
      return { kind: 'BackingOff', until: now + backoffMs(crashes, restart), crashes, exit: event.exit }
    }
    case 'DrainRequested':
      return { kind: 'Draining', since: now }
    case 'Spawned':
      return state
    default:
      return event satisfies never
  }
}
