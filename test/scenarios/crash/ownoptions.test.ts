/**
 * A seeded share of the crash boundaries of entries with options of their own (`npm run trial -- --boundaries --own-options` tries every one):
 * delayed, prioritized and named jobs go by other scripts of BullMQ than the plain ones of crash.test.ts.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { randomFrom } from '../../../local/demo/load.ts'
import { seed } from '../../support/seed.ts'
import { pathKinds } from './assemble.ts'
import { cutInTurn } from './cuts.ts'

const stride = 41
const random = randomFrom(seed)

describe(`crash boundaries of requests with options (STREAMPIPELINE_SEED=${seed})`, () => {
  for (const path of pathKinds) {
    const first = Math.floor(random() * stride)
    test(`${path}: with options, cut at every ${stride}th command from ${first}, everything ends exactly once`, async (t) => {
      const tried = await cutInTurn(t, path, { first, stride, ownOptions: true })
      assert.ok(tried.length >= 4, `only these boundaries were reached: ${tried.join(', ')}`)
      t.diagnostic(`${path}: ${tried.join(', ')}`)
    })
  }
})
