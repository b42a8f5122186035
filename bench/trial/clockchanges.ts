/** Schedules around each change of clocks, in each zone, over twenty years (test/scaling/clockchanges.ts). */
import { setImmediate } from 'node:timers/promises'
import { createRandom } from '../../scaling/simulate/random.ts'
import { problemAround, turnsOf, zones } from '../../test/scaling/clockchanges.ts'

interface ClockChangesResult {
  readonly ok: boolean
  readonly seed: number
  readonly zones: number
  readonly years: number
  readonly changes: number
  readonly problems: number
  readonly found: readonly string[]
}

const [fromYear, years] = [2010, 20]
const mostFound = 20

export async function tryClockChanges(seed: number, progress: (line: string) => void): Promise<ClockChangesResult> {
  const draw = createRandom(seed, 'clock changes')
  const random = { below: (limit: number) => Math.floor(draw() * limit) }
  const found: string[] = []
  let changes = 0
  for (const [index, zone] of zones.entries()) {
    for (const turnMs of turnsOf(zone, fromYear, years)) {
      changes++
      const problem = problemAround(turnMs, zone, random)
      if (problem !== undefined) found.push(problem)
    }
    if (index % 20 === 19) progress(`${index + 1} of ${zones.length} zones, ${changes} changes, ${found.length} problems`)
    // A signal gets its turn.
    await setImmediate()
  }
  const ok = found.length === 0 && changes > 0
  return { ok, seed, zones: zones.length, years, changes, problems: found.length, found: found.slice(0, mostFound) }
}
