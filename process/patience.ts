/** Waits for work that goes on by itself, but not for ever. */
import { systemTimer, type Timer } from './timer.ts'

/**
 * Whether the work ended within `ms`. Rejects with the work if that fails in time. A later failure is the business of the work's other
 * readers.
 */
export function endsWithin(work: Promise<unknown>, ms: number, timer: Timer = systemTimer): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = timer(ms, () => resolve(false))
    work.then(
      () => {
        cancel()
        resolve(true)
      },
      (thrown: unknown) => {
        cancel()
        reject(thrown)
      },
    )
  })
}
