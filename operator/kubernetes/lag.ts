/**
 * Whether a reflector's store may differ from the server, and why.
 *
 * An outage begins with a failed list or watch. It ends with an event or an open watch. If only the list failed, a list ends it. A
 * version that is gone (410) is no outage. `behindSinceMs` begins with the same failures, and with a version that is gone. It ends
 * when a watch has been open for long enough to deliver the events of the interruption.
 */
import type { StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'

export interface WatchOutage {
  readonly error: StreamPipelineError
  /** By the clock of the reflector. */
  readonly sinceMs: number
  readonly attempt: number
}

interface Lag {
  readonly outage: WatchOutage | undefined
  readonly behindSinceMs: number | undefined
  /** For how long lists have been answered while the watch fails. */
  readonly answeredForMs: number
  /** A request for a list; remembers whether it was answered. */
  answering<T>(request: Promise<T>): Promise<T>
  failed(error: StreamPipelineError, attempt: number): void
  /** A list was taken, in a state after a failure or at the start. */
  listed(): void
  heard(): void
  /** A watch is being opened. */
  opening(): void
  /** The server accepted the watch. Returns a function for the end of the watch. */
  opened(): () => void
  /** The server closed the watch in order. */
  closed(): void
}

/** The server sends the events of an interruption within that time after the watch is open again. */
const catchingUpMs = 1_000

export function createLag(
  clock: Pick<Clock, 'now' | 'after'>,
  onOutage: (outage: WatchOutage | undefined) => void = () => {},
): Lag {
  let outage: WatchOutage | undefined
  let behindSinceMs: number | undefined
  /** True from the opening of a watch until the server closes a watch in order. */
  let watchFailed = false
  /** The first and the last answer to a list since the outage began. */
  let answered: { readonly sinceMs: number; readonly lastMs: number } | undefined

  function well(): void {
    if (outage === undefined) return
    outage = undefined
    onOutage(undefined)
  }

  return {
    get outage() {
      return outage
    },
    get behindSinceMs() {
      return behindSinceMs
    },
    get answeredForMs() {
      return answered === undefined ? 0 : answered.lastMs - answered.sinceMs
    },
    async answering(request) {
      try {
        const answer = await request
        answered = { sinceMs: answered?.sinceMs ?? clock.now(), lastMs: clock.now() }
        return answer
      } catch (thrown) {
        answered = undefined
        throw thrown
      }
    },
    failed(error, attempt) {
      behindSinceMs ??= clock.now()
      if (error.code === 'KubernetesExpired') return
      if (outage === undefined) answered = undefined
      outage = { error, sinceMs: outage?.sinceMs ?? clock.now(), attempt }
      onOutage(outage)
    },
    listed() {
      // If the watch is the failing part, only an open watch ends the outage.
      if (!watchFailed) well()
    },
    heard: well,
    opening() {
      watchFailed = true
    },
    opened() {
      well()
      return clock.after(catchingUpMs, () => {
        behindSinceMs = undefined
      })
    },
    closed() {
      watchFailed = false
    },
  }
}
