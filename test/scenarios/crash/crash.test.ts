/**
 * A seeded share of the crash boundaries (`npm run trial -- --boundaries` tries every one, with real processes): the consumer's
 * wire is cut at every so-many-th command of its run, before and after it, on each forward path; and some consumers are processes
 * that get SIGKILL.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { randomFrom } from '../../../local/demo/load.ts'
import { startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'
import { pathKinds } from './assemble.ts'
import { prepareCrashes } from './attempt.ts'
import { cutInTurn, failingAt, reported } from './cuts.ts'
import { processVictims } from './victim.ts'

const stride = 23
const kills = 2

const random = randomFrom(seed)
const below = (limit: number) => Math.floor(random() * limit)

describe(`crash boundaries (STREAMPIPELINE_SEED=${seed})`, async () => {
  for (const path of pathKinds) {
    const first = below(stride)
    const killed = Array.from({ length: kills }, () => ({ index: below(80), side: below(2) === 0 ? 'before' : 'after' }) as const)

    test(`${path}: cut at every ${stride}th command from ${first}, everything ends exactly once`, async (t) => {
      const tried = await cutInTurn(t, path, { first, stride, ownOptions: false })
      assert.ok(tried.length >= 6, `only these boundaries were reached: ${tried.join(', ')}`)
      t.diagnostic(`${path}: ${tried.join(', ')}`)
    })

    test(`${path}: a process killed ${killed.map(reported).join(' and ')}`, async (t) => {
      const servers = [await startRedis(t), await startRedis(t)]
      const victims = processVictims()
      t.after(victims.close)
      const crashes = await prepareCrashes(path, servers, victims)
      t.after(crashes.close)
      for (const boundary of killed) {
        const cut = await failingAt(boundary, crashes.at)
        assert.ok(cut, `the run ended before command ${boundary.index}`)
      }
    })
  }
})
