/**
 * The states of a key of the work queue, and the only functions that move between them. A key without a state is unknown.
 *
 *   Queued ──take──▶ Running ──done──▶ (unknown)
 *     ▲                 │add
 *     └────done──── RunningDirty
 *
 * Queued        an add made it known, or its work ended dirty. A more urgent add raises its priority. Left by `take`.
 * Running       a worker has it. Left by `done`, or by an add.
 * RunningDirty  an add came during the work, so that it must be done once more. Left by `done`.
 */

/** In the order of service. */
export const priorities = ['Changed', 'Observed', 'Resynced'] as const

export type Priority = (typeof priorities)[number]

const isBefore = (one: Priority, other: Priority) => priorities.indexOf(one) < priorities.indexOf(other)

export type KeyState =
  | { readonly kind: 'Queued'; readonly priority: Priority; readonly sinceMs: number }
  | { readonly kind: 'Running'; readonly sinceMs: number }
  | { readonly kind: 'RunningDirty'; readonly sinceMs: number; readonly priority: Priority; readonly dirtySinceMs: number }

/** Returns the state itself where the add changes nothing. */
export function added(state: KeyState | undefined, priority: Priority, nowMs: number): KeyState {
  if (state === undefined) return { kind: 'Queued', priority, sinceMs: nowMs }
  switch (state.kind) {
    case 'Queued':
    case 'RunningDirty':
      return isBefore(priority, state.priority) ? { ...state, priority } : state
    case 'Running':
      return { kind: 'RunningDirty', sinceMs: state.sinceMs, priority, dirtySinceMs: nowMs }
    default:
      throw state satisfies never
  }
}

export function done(state: KeyState): KeyState | undefined {
  return state.kind === 'RunningDirty' ? { kind: 'Queued', priority: state.priority, sinceMs: state.dirtySinceMs } : undefined
}
