/**
 * An etcd restored from a backup: several watches and the election notice it within seconds of each other. At the first notice
 * everything is listed anew; whatever was noted of the earlier history is forgotten then, and once more when the last notice is two
 * seconds old, since until its list has come a cache may have led to notes of what no longer is.
 */
import type { Clock } from './kubernetes/clock.ts'

const quietMs = 2_000

interface RewindParts {
  readonly clock: Clock
  /** Lists everything anew. */
  readonly relist: () => void
  /** Forgets what was noted of objects, and looks at all pipelines again. */
  readonly forget: () => void
}

/** To be called at each notice. */
export function createRewind({ clock, relist, forget }: RewindParts): () => void {
  let cancel: (() => void) | undefined
  return () => {
    if (cancel === undefined) {
      forget()
      relist()
    }
    cancel?.()
    cancel = clock.after(quietMs, () => {
      cancel = undefined
      forget()
    })
  }
}
