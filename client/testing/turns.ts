/** The order in which jobs of a test queue run: waiting ones first, then those with a priority, the smallest number first. */
import type { JobsOptions } from 'bullmq'

interface Turn {
  readonly id: string
  readonly opts: JobsOptions
}

interface Turns {
  /** @param atOnce before the others that wait; a priority overrules it, as in BullMQ */
  enter(job: Turn, atOnce: boolean): 'Waiting' | 'Prioritized'
  /** Takes the next id out. @param passed ids to leave */
  next(passed: ReadonlySet<string>): string | undefined
  leave(id: string): void
}

export function createTurns(): Turns {
  /** Next first. */
  const waiting: string[] = []
  const prioritized: { readonly id: string; readonly priority: number }[] = []

  return {
    enter({ id, opts: { priority = 0 } }, atOnce) {
      if (priority > 0) {
        prioritized.push({ id, priority })
        // A stable sort: equal priorities keep their order.
        prioritized.sort((a, b) => a.priority - b.priority)
        return 'Prioritized'
      }
      if (atOnce) waiting.unshift(id)
      else waiting.push(id)
      return 'Waiting'
    },
    next(passed) {
      const at = waiting.findIndex((id) => !passed.has(id))
      if (at !== -1) return waiting.splice(at, 1)[0]
      const place = prioritized.findIndex(({ id }) => !passed.has(id))
      return place === -1 ? undefined : prioritized.splice(place, 1)[0]?.id
    },
    leave(id) {
      const at = waiting.indexOf(id)
      if (at !== -1) waiting.splice(at, 1)
      const place = prioritized.findIndex((turn) => turn.id === id)
      if (place !== -1) prioritized.splice(place, 1)
    },
  }
}
