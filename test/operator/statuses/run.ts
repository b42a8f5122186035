/** Random histories from seeds, each status of which is judged. */
import { seededRandom } from '../election/simulation.ts'
import { live } from './history.ts'
import { createJudge } from './judge/judge.ts'
import { createWorld, type SentStatus } from './world.ts'

export interface FalseStatus {
  readonly seed: number
  /** Simulated seconds since the history began. */
  readonly atSeconds: number
  readonly claims: readonly string[]
  readonly history: readonly string[]
}

/** A status in which only numbers change is written every ten seconds. */
const standingMs = 16_000

export interface Verdict {
  readonly statuses: number
  /** Those that said Ready=True. */
  readonly ready: number
  readonly false: readonly FalseStatus[]
  /** Errors without a handler. */
  readonly unhandled: readonly unknown[]
}

export async function judgeHistory(seed: number): Promise<Verdict> {
  const unhandled: unknown[] = []
  const wrong: Omit<FalseStatus, 'history' | 'seed'>[] = []
  let [statuses, ready] = [0, 0]
  const starts: number[] = []
  const judgeOne = (sent: SentStatus) => {
    const claims = judge.judge(sent)
    if (claims === undefined) return
    statuses += 1
    if (sent.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true) ready += 1
    if (claims.length > 0) wrong.push({ atSeconds: Math.round(sent.atMs / 100) / 10, claims })
  }
  const world = createWorld(seededRandom(seed), judgeOne)
  const judge = createJudge(world, () => starts.at(-1) ?? 0)
  const { lines, standing } = await live(world, {
    onFailure: (thrown) => void unhandled.push(thrown),
    onStart: (atMs) => void starts.push(atMs),
    onFault: judge.noteFailure,
  })
  // The status that stands at the end, after a calm.
  if (standing !== undefined) {
    const claims = judge.judge(standing, standingMs) ?? []
    if (claims.length > 0)
      wrong.push({ atSeconds: Math.round(standing.atMs / 100) / 10, claims: claims.map((claim) => `left standing: ${claim}`) })
  }
  return { statuses, ready, false: wrong.map((each) => ({ seed, ...each, history: lines })), unhandled }
}
