import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { reclaiming, renewalMs } from '../../../consumer/loops/reclaiming.ts'
import { createNudges } from '../../../consumer/nudges.ts'
import { createClockwork } from './clockwork.ts'

interface Round {
  readonly atMs: number
  readonly fromStart: boolean
}

function run(t: TestContext, { random = 0.5, round = async () => {} }: { random?: number; round?: () => Promise<void> } = {}) {
  const work = createClockwork(random)
  const nudges = createNudges(work.clock.after)
  nudges.heard('0')
  const rounds: Round[] = []
  const recovered = Promise.withResolvers<void>()
  const loop = reclaiming(
    {
      ...work,
      nudges,
      intervalMs: 10_000,
      round: async (fromStart) => {
        rounds.push({ atMs: work.clock.now(), fromStart })
        await round()
      },
    },
    recovered.promise,
  )
  t.after(async () => {
    work.drain()
    recovered.resolve()
    await loop
    assert.equal(work.clock.waiting, 0, 'no timer is left')
  })
  return { ...work, nudges, rounds, recovered: recovered.resolve, times: () => rounds.map(({ atMs }) => atMs) }
}

test('no round before the own entries are taken up; then one at once, and one each interval', async (t) => {
  const { pass, recovered, times } = run(t)
  await pass(3_000)
  assert.deepEqual(times(), [])
  recovered()
  await pass(25_000)
  assert.deepEqual(times(), [3_000, 13_000, 23_000])
})

for (const [random, expected] of [
  [0, [0, 8_000, 16_000]],
  [0.999, [0, 11_996, 23_992]],
] as const) {
  test(`the interval is jittered by a fifth: ${random}`, async (t) => {
    const { pass, recovered, times } = run(t, { random })
    recovered()
    await pass(23_999)
    assert.deepEqual(
      times().map((ms) => Math.round(ms)),
      expected,
    )
  })
}

test('a nudge brings a round from the oldest entry on, at once', async (t) => {
  const { pass, recovered, nudges, rounds } = run(t)
  recovered()
  await pass(4_000)
  nudges.heard('1')
  await pass(1_000)
  assert.deepEqual(rounds, [
    { atMs: 0, fromStart: false },
    { atMs: 4_000, fromStart: true },
  ])
})

test('after an outage the others get time to renew their entries; a nudge is kept for the round after that time', async (t) => {
  const { pass, recovered, nudges, fail, answer, rounds } = run(t)
  recovered()
  await pass(5_000)
  fail()
  nudges.heard('1')
  await pass(30_000)
  assert.equal(rounds.length, 1, 'none during the outage')
  answer()
  await pass(renewalMs - 100)
  assert.equal(rounds.length, 1, 'none while the others may renew')
  await pass(200)
  assert.deepEqual(rounds[1], { atMs: 35_000 + renewalMs, fromStart: true })
})

test('an outage within the time for renewals starts this time anew', async (t) => {
  const { pass, recovered, fail, answer, times } = run(t)
  recovered()
  await pass(1_000)
  fail()
  // The loop notices with the next round.
  await pass(10_000)
  answer()
  await pass(renewalMs / 2)
  fail()
  await pass(1_000)
  answer()
  const answeredMs = 11_000 + renewalMs / 2 + 1_000
  await pass(2 * renewalMs + 20_000)
  assert.ok((times()[1] ?? 0) >= answeredMs + renewalMs, `${times()}`)
})

test('an outage within a round delays the next one', async (t) => {
  let failing = true
  const { pass, recovered, fail, answer, times, lifecycle } = run(t, {
    round: async () => {
      if (failing) fail()
      failing = false
    },
  })
  recovered()
  await pass(100)
  assert.equal(lifecycle.state.kind, 'BackendDown')
  answer()
  await pass(10_000 + renewalMs - 200)
  assert.deepEqual(times(), [0])
  await pass(11_000)
  assert.equal(times().length, 2)
})
