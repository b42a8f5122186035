/**
 * The controller loop: take a key, reconcile it, then one switch over what came of it. The reconciler never learns which event
 * woke it. Terminal failures wait for the object to change (its next event adds the key); all others are retried with the
 * queue's back-off.
 */
import { setImmediate as eventLoop } from 'node:timers/promises'
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { retryAfterMs } from './errors.ts'
import { type Priority, priorities } from './keystates.ts'
import type { Shares, WorkQueue } from './queue.ts'

/** Keys reconciled at once. */
export const workers = 16
/** Workers that one namespace may use. Three slow namespaces leave some workers to the others. */
export const shares: Shares = { Changed: 5, Observed: 3, Resynced: 5 }
/**
 * Half of the workers take no observations, and leave them to the other half. An observation ends in a write of a status. After a
 * start there are a thousand such writes. Meanwhile the first half serves changes at once, and goes through all keys for the first
 * time.
 */
const forOthers: Priority = 'Observed'
const besidesOthers = priorities.filter((priority) => priority !== forOthers)

const longestTurnMs = 10

/** The wish of a reconcile; undefined `requeueAfterMs`: nothing until the next event. */
export interface ReconcileResult {
  readonly requeueAfterMs?: number
}

export type Reconcile = (key: string, signal: AbortSignal) => Promise<ReconcileResult>

export type Outcome =
  | { readonly kind: 'Success' }
  | { readonly kind: 'RequeueAfter'; readonly afterMs: number }
  | { readonly kind: 'Retry'; readonly afterMs: number; readonly error: StreamPipelineError }
  | { readonly kind: 'Terminal'; readonly error: StreamPipelineError }

export interface ControllerObserver {
  /** Once per reconcile. */
  readonly reconciled?: (key: string, outcome: Outcome, tookMs: number, waitedMs: number) => void
  readonly active?: (workers: number) => void
}

interface Controller {
  /**
   * Works until `stop` aborts, then waits for what is under way; `cut` aborting interrupts that too. Never rejects.
   */
  run(stop: AbortSignal, cut: AbortSignal): Promise<void>
}

export function createController(
  queue: WorkQueue,
  reconcile: Reconcile,
  options: { readonly clock: Clock; readonly workers: number; readonly observer?: ControllerObserver },
): Controller {
  const { clock, observer = {} } = options
  let active = 0
  let yieldedMs = clock.now()
  let yielding: Promise<void> | undefined

  /**
   * A thousand keys whose work never waits would fill one turn of the event loop, and changes meanwhile would go unheard. All
   * workers yield together. Otherwise each would use its full time in the same turn.
   */
  async function yieldToEventLoop(): Promise<void> {
    if (clock.now() - yieldedMs < longestTurnMs) return
    yielding ??= eventLoop().then(() => {
      yielding = undefined
      yieldedMs = clock.now()
    })
    await yielding
  }

  async function handle(key: string, waitedMs: number, signal: AbortSignal): Promise<void> {
    const startedMs = clock.now()
    observer.active?.(++active)
    const outcome = await attempt(key, signal)
    observer.active?.(--active)
    // Before `done`: an add that `done` brings back must find the back-off already reset.
    switch (outcome.kind) {
      case 'Success':
      case 'Terminal':
        queue.forget(key)
        break
      case 'RequeueAfter':
        queue.forget(key)
        queue.addAfter(key, outcome.afterMs, 'Resynced')
        break
      case 'Retry':
        break
      default:
        outcome satisfies never
    }
    queue.done(key)
    observer.reconciled?.(key, outcome, clock.now() - startedMs, waitedMs)
  }

  async function attempt(key: string, signal: AbortSignal): Promise<Outcome> {
    try {
      const { requeueAfterMs } = await reconcile(key, signal)
      return requeueAfterMs === undefined ? { kind: 'Success' } : { kind: 'RequeueAfter', afterMs: requeueAfterMs }
    } catch (thrown) {
      // Interrupted by shutdown: the next leader does it again, nothing went wrong.
      if (signal.aborted) return { kind: 'Success' }
      const error = asFailure(thrown)
      return error.retryable
        ? { kind: 'Retry', afterMs: queue.retry(key, retryAfterMs(error)), error }
        : { kind: 'Terminal', error }
    }
  }

  async function work(of: readonly Priority[], cut: AbortSignal): Promise<void> {
    for (;;) {
      const taken = await queue.take(of)
      if (taken === undefined) return
      await handle(taken.key, taken.waitedMs, cut)
      await yieldToEventLoop()
    }
  }

  return {
    async run(stop, cut) {
      const close = () => queue.close()
      if (stop.aborted) close()
      else stop.addEventListener('abort', close, { once: true })
      const shares = Array.from({ length: options.workers }, (_, n) => (n % 2 === 0 ? priorities : besidesOthers))
      await Promise.all(shares.map((of) => work(of, cut)))
    },
  }
}
