/**
 * The process that judges documents, from the side of the operator. It is started when it is needed, and ended when it has rested for a
 * while.
 *
 *   None ──start──▶ Starting ──ready──▶ Ready ──rested, late with a document, or ended by itself──▶ None
 *                      └──ended by itself──▶ None
 */
import type { Clock } from '../../../process/clock.ts'
import { type Child, startChild } from '../child.ts'
import type { FromJudge, ToJudge } from './messages.ts'

interface JudgeProcessParts {
  readonly clock: Clock
  readonly programs: string | undefined
  /** Longest time for one document. */
  readonly lateMs: number
  readonly onReady: () => void
  readonly onAnswer: (answer: FromJudge) => void
  readonly onLost: (loss: Loss) => void
}

export interface Loss {
  /** Undefined: the process was ended while it rested. */
  readonly why: string | undefined
  /** Its last output, for the log. */
  readonly output: string
  /** False: it was lost while it started. */
  readonly wasReady: boolean
}

type State =
  | { readonly kind: 'None' }
  | { readonly kind: 'Starting'; readonly child: Child<ToJudge> }
  | { readonly kind: 'Ready'; readonly child: Child<ToJudge> }

export interface JudgeProcess {
  /** Starts a process if there is none. Returns whether it is ready. */
  start(): boolean
  /** The process must be ready. It is lost if it does not answer in time. */
  send(document: ToJudge): void
  /** No document waits. */
  rest(): void
  close(): Promise<void>
}

const idleMs = 5_000
const mostBytes = 256 * 2 ** 20

export function createJudgeProcess({ clock, programs, lateMs, onReady, onAnswer, onLost }: JudgeProcessParts): JudgeProcess {
  let state: State = { kind: 'None' }
  let cancelTimer = () => {}
  const ending = new Set<Promise<void>>()

  function begin(): void {
    const child = startChild<ToJudge, FromJudge>({
      program: 'judge',
      programs,
      clock,
      // The limit for a single document ends the process earlier.
      silenceMs: 2 * lateMs,
      mostBytes,
      onReady() {
        state = { kind: 'Ready', child }
        onReady()
      },
      onMessage: onAnswer,
      onEnd: ({ why, output }) => {
        if (isCurrent(child)) lost(why ?? 'it ended', output)
      },
    })
    state = { kind: 'Starting', child }
  }

  const isCurrent = (child: Child<ToJudge>) => state.kind !== 'None' && state.child === child

  function dismiss(child: Child<ToJudge>, why: string | undefined): void {
    if (!isCurrent(child)) return
    const end = child.end(0).finally(() => ending.delete(end))
    ending.add(end)
    lost(why, '')
  }

  function lost(why: string | undefined, output: string): void {
    cancelTimer()
    const wasReady = state.kind === 'Ready'
    state = { kind: 'None' }
    onLost({ why, output, wasReady })
  }

  function dismissAfter(ms: number, why: string | undefined): void {
    cancelTimer()
    if (state.kind === 'None') return
    const { child } = state
    cancelTimer = clock.after(ms, () => dismiss(child, why))
  }

  return {
    start() {
      if (state.kind === 'None') begin()
      return state.kind === 'Ready'
    },
    send(document) {
      dismissAfter(lateMs, `it took longer than ${lateMs / 1000} s`)
      if (state.kind === 'Ready') state.child.send(document)
    },
    rest: () => dismissAfter(idleMs, undefined),
    async close() {
      cancelTimer()
      await Promise.all([state.kind === 'None' ? undefined : state.child.end(0), ...ending])
    },
  }
}
