/** A seeded share of what `npm run trial -- --hostile` tries. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seed } from '../../support/seed.ts'
import { tryKinds } from './kind.ts'
import { allKinds } from './kinds/all.ts'
import { createRandom } from './payloads.ts'

const each = 1_500

for (const kind of allKinds) {
  test(`${kind.name}: none does harm`, () => {
    const { harms } = tryKinds([kind], createRandom(seed), Math.max(20, Math.round(each * Math.min(1, kind.weight / 3))))
    assert.deepEqual(harms.slice(0, 3), [])
  })
}
