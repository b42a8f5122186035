/** A consumer's lifecycle on a clock that moves only when a test moves it. */
import { failure } from '../../../api/errors.ts'
import { createLifecycle, type Lifecycle } from '../../../consumer/lifecycle.ts'
import { createTestClock, type TestClock } from '../../support/testclock.ts'

export interface Clockwork {
  readonly clock: TestClock
  readonly lifecycle: Lifecycle
  /** Moves the clock from timer to timer, and lets the loops run after each. */
  pass(ms: number): Promise<void>
  /** Redis fails: BackendDown. */
  fail(): void
  /** Redis answers again: Running. */
  answer(): void
  drain(): void
}

/** The lifecycle is Running from the start. Each jitter is at its middle: 1 × the interval. */
export function createClockwork(random = 0.5, maxWaiting = 100): Clockwork {
  const clock = createTestClock(() => random)
  const lifecycle = createLifecycle(maxWaiting, clock.now)
  lifecycle.dispatch({ kind: 'Started' })
  return {
    clock,
    lifecycle,
    async pass(ms) {
      const endMs = clock.now() + ms
      for (;;) {
        await settle()
        const nextMs = clock.nextMs ?? Number.POSITIVE_INFINITY
        if (nextMs > endMs) break
        clock.advance(nextMs - clock.now())
      }
      clock.advance(endMs - clock.now())
      await settle()
    },
    fail: () => lifecycle.backendFailed(failure('RedisUnreachable', { address: 'redis:6379', detail: 'a test took it away' })),
    answer: () => lifecycle.dispatch({ kind: 'BackendAnswered' }),
    drain: () => lifecycle.dispatch({ kind: 'DrainRequested', deadline: clock.now() }),
  }
}

/** Enough turns for the loops to reach their next wait. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}
