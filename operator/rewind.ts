/**
 * Handles an etcd that was restored from a backup. Several watches and the election notice it within seconds of each other. The first
 * notice lists everything anew and forgets all notes about objects. Two seconds after the last notice they are forgotten once more: until
 * its new list came, a cache may have led to wrong notes.
 */
import type { Clock } from '../process/clock.ts'

const quietMs = 2_000

interface RewindParts {
  readonly clock: Clock
  /** Lists everything anew. */
  readonly relist: () => void
  /** Forgets all notes about objects, and reconciles all pipelines again. */
  readonly forget: () => void
}

interface Rewind {
  /** To be called at each notice. */
  notice(): void
  /** Ends the wait for the last notice. Later notices have no effect. */
  close(): void
}

export function createRewind({ clock, relist, forget }: RewindParts): Rewind {
  let cancel: (() => void) | undefined
  let closed = false
  return {
    notice() {
      if (closed) return
      if (cancel === undefined) {
        forget()
        relist()
      }
      cancel?.()
      cancel = clock.after(quietMs, () => {
        cancel = undefined
        forget()
      })
    },
    close() {
      closed = true
      cancel?.()
    },
  }
}
