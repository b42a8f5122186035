/** The pace of one pipeline's looks: spread after a start, slower after failures, and cut short by news. */
import type { Clock } from '../../process/clock.ts'

/** The first failures may pass soon. After these, pauses grow: up to half a minute at the usual pace. */
const patient = 3
const slowest = 6
const slowness = (failures: number): number => Math.min(slowest, Math.max(1, failures - patient + 1))

/**
 * After a start the operator looks at all pipelines within a second or two. Unequal first pauses spread the later looks.
 * @param failures in a row
 */
export function pauseMs(everyMs: number, failures: number, isFirst: boolean, random: number): number {
  const spread = isFirst ? 0.5 + random : 0.95 + random / 10
  return everyMs * spread * slowness(failures)
}

/**
 * A pause that is ended before it begins does not begin. AbortSignals would do, but each look would leave several of them to the
 * garbage collector.
 */
export function createPause(clock: Pick<Clock, 'after'>) {
  let ended = false
  let wake = () => {}
  return {
    end() {
      ended = true
      wake()
    },
    async lasting(ms: number): Promise<void> {
      if (ended) return
      await new Promise<void>((resolve) => {
        const cancel = clock.after(ms, resolve)
        wake = () => {
          cancel()
          resolve()
        }
      })
    },
  }
}
