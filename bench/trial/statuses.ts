/**
 * Random histories of pipelines in simulated time, each status of which is judged by what could be seen when it was sent. The operator's
 * parts are real; cluster, network and Redis are simulated (test/scenarios/operator/statuses).
 */
import { inspect } from 'node:util'
import { judgeHistory } from '../../test/operator/statuses/run.ts'

interface StatusesOptions {
  /** Number of histories. */
  readonly histories: number
  /** Of the first one; the next has the next. */
  readonly seed: number
  readonly progress: (line: string) => void
}

interface StatusesResult {
  readonly ok: boolean
  readonly seed: number
  readonly histories: number
  readonly statuses: number
  /** Statuses with Ready=True. */
  readonly ready: number
  readonly false: number
  readonly falseSeeds: readonly number[]
  /** Errors without a handler. */
  readonly unhandled: number
  readonly seconds: number
}

const reportEvery = 100

export async function tryStatuses({ histories, seed, progress }: StatusesOptions): Promise<StatusesResult> {
  const begun = performance.now()
  const falseSeeds: number[] = []
  let [statuses, ready, wrong, unhandled] = [0, 0, 0, 0]
  for (let done = 0; done < histories; done++) {
    const verdict = await judgeHistory(seed + done)
    statuses += verdict.statuses
    ready += verdict.ready
    wrong += verdict.false.length
    unhandled += verdict.unhandled.length
    if (verdict.false.length > 0) falseSeeds.push(seed + done)
    for (const thrown of verdict.unhandled) progress(`seed ${seed + done}: ${inspect(thrown)}`)
    for (const { atSeconds, claims } of verdict.false) progress(`seed ${seed + done}, at ${atSeconds} s: ${claims.join('; ')}`)
    for (const line of verdict.false[0]?.history ?? []) progress(`  ${line}`)
    if ((done + 1) % reportEvery === 0) progress(`${done + 1} of ${histories} histories, ${statuses} statuses, ${wrong} false`)
  }
  return {
    // Where nothing was written, or nothing became ready, nothing was tried.
    ok: wrong === 0 && unhandled === 0 && statuses > 0 && ready > 0,
    seed,
    histories,
    statuses,
    ready,
    false: wrong,
    falseSeeds,
    unhandled,
    seconds: Math.round((performance.now() - begun) / 1_000),
  }
}
