/** A seeded share of hostile text through every output. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seed } from '../support/seed.ts'
import { tryKinds } from './kind.ts'
import { outputKinds } from './kinds/outputs.ts'
import { createRandom } from './payloads.ts'

/** STREAMPIPELINE_CASES=100000 for a trial. */
const cases = Number(process.env['STREAMPIPELINE_CASES'] ?? 400)

for (const kind of outputKinds) {
  test(`${kind.name}: no line of it is obeyed`, () => {
    const { harms } = tryKinds([kind], createRandom(seed), Math.round(cases * Math.min(1, kind.weight)))
    assert.deepEqual(harms.slice(0, 3), [])
  })
}
