import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tryUps } from '../../../bench/trial/ups.ts'
import { seed } from '../../support/seed.ts'

test('runs that are ended at random lose and repeat nothing, leave no process, and account truly (`npm run trial -- --up 100` ends more)', async (t) => {
  t.diagnostic(`seed ${seed}`)
  const { ok, failures, ...result } = await tryUps(t, { runs: 4, seed, lanes: 2, progress: () => {} })
  assert.deepEqual(failures, [])
  assert.ok(ok, JSON.stringify(result))
  t.diagnostic(JSON.stringify(result))
})
