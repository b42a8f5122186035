import { setTimeout as delay } from 'node:timers/promises'

export interface Patience {
  /** Time to go on trying, ms; default 20000, since a busy machine stands still for seconds. */
  timeoutMs?: number
  /** Pause between two tries, ms. Default: a tenth of the time since the first try, from 25 to 250. Each try costs servers and test. */
  intervalMs?: number
  /** Aborted: there is no further try, and it throws. */
  signal?: AbortSignal
}

/** The values that mean "not yet". A function that only asserts returns `undefined`, which passes. */
type NotYet = false | null | 0 | ''

/**
 * Tries until `attempt` neither throws nor returns false, null, 0 or '', and resolves to its result. When the time is up it
 * throws the last reason (also as `cause`) and the place of its call, even while an attempt hangs.
 */
export const eventually = async <T>(attempt: () => T | Promise<T>, patience: Patience = {}): Promise<Exclude<T, NotYet>> => {
  const { timeoutMs = 20_000, intervalMs, signal } = patience
  const failed = new Error()
  Error.captureStackTrace(failed, eventually)
  const begun = performance.now()
  const deadline = begun + timeoutMs
  let tries = 0
  let last: unknown = 'the first try did not return'
  for (;;) {
    signal?.throwIfAborted()
    tries += 1
    const outcome = await within(deadline - performance.now(), attempt)
    if (outcome.kind === 'Returned' && !isNotYet(outcome.value)) return outcome.value as Exclude<T, NotYet>
    if (outcome.kind === 'Threw') last = outcome.error
    if (outcome.kind === 'Returned') last = `it returned ${JSON.stringify(outcome.value)}`
    const pauseMs = intervalMs ?? pauseAfter(performance.now() - begun)
    if (outcome.kind === 'Hung' || performance.now() + pauseMs > deadline) break
    await delay(pauseMs)
  }
  failed.message = `not so within ${timeoutMs} ms (tries: ${tries}): ${last instanceof Error ? last.message : String(last)}`
  if (last instanceof Error) failed.cause = last
  throw failed
}

const pauseAfter = (waitedMs: number): number => Math.min(Math.max(25, waitedMs / 10), 250)

type Outcome<T> = { kind: 'Returned'; value: T } | { kind: 'Threw'; error: unknown } | { kind: 'Hung' }

const within = async <T>(ms: number, attempt: () => T | Promise<T>): Promise<Outcome<T>> => {
  const timer = new AbortController()
  const hung = delay(Math.max(ms, 0), { kind: 'Hung' } as const, { signal: timer.signal }).catch(
    () => ({ kind: 'Hung' }) as const,
  )
  const tried = (async (): Promise<Outcome<T>> => {
    try {
      return { kind: 'Returned', value: await attempt() }
    } catch (error) {
      return { kind: 'Threw', error }
    }
  })()
  const outcome = await Promise.race([tried, hung])
  timer.abort()
  return outcome
}

const isNotYet = (value: unknown): value is NotYet => value === false || value === null || value === 0 || value === ''
