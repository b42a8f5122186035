/** A small share of `npm run trial -- --flips 1000`: the mode flips under load, with requests of both modes on their way. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tryFlips } from '../../../bench/trial/flips.ts'
import { seed } from '../../support/seed.ts'

test(`rollback at speed: 60 flips under load lose and double nothing (STREAMPIPELINE_SEED=${seed})`, async (t) => {
  const reported: string[] = []
  const result = await tryFlips(t, { flips: 60, seed, progress: (line) => reported.push(line) })
  t.diagnostic(JSON.stringify(result))
  assert.ok(result.ok, `${JSON.stringify(result)}\n${reported.join('\n')}`)
})
