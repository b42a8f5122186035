/**
 * Leader election in seeded schedules. STREAMPIPELINE_ELECTIONS sets how many (10,000 for the bar); a failure names its seed, which
 * STREAMPIPELINE_SEED with one schedule repeats.
 */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seed } from '../support/seed.ts'
import { simulate } from './election/simulation.ts'

const schedules = Number(process.env['STREAMPIPELINE_ELECTIONS'] ?? 100)

test('whatever clocks, processes and the network do, no two leaders act at once, and one leads when all is calm', async (t) => {
  let terms = 0
  for (let n = 0; n < schedules; n++) {
    const verdict = await simulate(seed + n)
    assert.deepEqual(verdict.violations, [], `seed ${seed + n}`)
    assert.equal(verdict.leadersAtEnd, 1, `seed ${seed + n}`)
    terms += verdict.terms
  }
  assert.ok(terms >= 2 * schedules, 'leaders change')
  t.diagnostic(`${schedules} schedules from seed ${seed}, ${terms} terms of office`)
})
