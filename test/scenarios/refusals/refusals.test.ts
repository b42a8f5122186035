/**
 * A seeded share of the refusals (`npm run trial -- --refusals` tries every one): a real server refuses one call of one script, and
 * then no more. Nothing is lost, no job is made twice, no record is written twice, and BullMQ's queue is as if nothing had been refused.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pathKinds } from '../../paths/fixture.ts'
import { seed } from '../../support/seed.ts'
import { type PointTried, tryPoints } from './points.ts'

/** Of some ten thousand points per path. */
const share = 0.01

const reported = ({ scene, point, problems }: PointTried) =>
  `${scene}: ${point}: ${problems.map(({ kind, text }) => `${kind}: ${text}`).join('; ')}`

describe(`refusals (STREAMPIPELINE_SEED=${seed})`, () => {
  for (const kind of pathKinds) {
    test(`${kind}: a call that Redis refuses changes nothing about how all ends`, async (t) => {
      const tried: PointTried[] = []
      await tryPoints(t, { seed, share, paths: [kind] }, (point) => {
        tried.push(point)
      })
      t.diagnostic(`${kind}: ${tried.length} points`)
      assert.ok(tried.length > 20, 'hardly any point was tried')
      assert.deepEqual(tried.filter(({ problems }) => problems.length > 0).map(reported), [])
    })
  }
})
