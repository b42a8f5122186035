/** The trial (`npm run trial`), short: kills, freezes past every lock's life and a killed Redis, under load, from a seed. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runTrial } from '../../../bench/trial/trial.ts'
import { seed } from '../../support/seed.ts'

const plan = { forMs: 8_000, atLeast: 4, pauseMs: [100, 1_000], frozenMs: [2_500, 4_000], redisDownMs: [50, 500] } as const

test(`random faults under load: every key one job, every broken entry one dead letter (STREAMPIPELINE_SEED=${seed})`, async (t) => {
  const reported: string[] = []
  const progress = (line: string) => void reported.push(line)
  const result = await runTrial(t, { plan, path: 'Atomic', seed, perSecond: 250, consumers: 2, progress })
  t.diagnostic(JSON.stringify(result))
  assert.ok(result.ok, `${JSON.stringify(result)}\n${reported.join('\n')}`)
})
