/** Turns at one Redis: no more inside than agreed, nobody waits for ever, an end lets all through. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../operator/kubernetes/clock.ts'
import { createTurns } from '../../operator/observe/turns.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('as many as agreed are inside, the others follow in order, each leaves once', async () => {
  const turns = createTurns(systemClock, 2, 60_000)
  const { signal } = new AbortController()
  const inside: number[] = []
  const leaves = new Map<number, () => void>()
  const all = [0, 1, 2, 3].map(async (n) => {
    leaves.set(n, await turns.enter(signal))
    inside.push(n)
  })
  await settled()
  assert.deepEqual(inside, [0, 1])
  leaves.get(1)?.()
  leaves.get(1)?.()
  await settled()
  assert.deepEqual(inside, [0, 1, 2], 'leaving twice makes room for one')
  leaves.get(0)?.()
  await Promise.all(all)
  assert.deepEqual(inside, [0, 1, 2, 3])
})

test('where those inside hang, the next goes in when it has waited long enough', async () => {
  const turns = createTurns(systemClock, 1, 30)
  const { signal } = new AbortController()
  await turns.enter(signal)
  const startedMs = performance.now()
  await turns.enter(signal)
  assert.ok(performance.now() - startedMs >= 25)
})

test('whoever waits is let through when told to stop', async () => {
  const turns = createTurns(systemClock, 1, 60_000)
  const stop = new AbortController()
  const leave = await turns.enter(stop.signal)
  const waiting = [turns.enter(stop.signal), turns.enter(stop.signal)]
  stop.abort()
  for (const leaveToo of await Promise.all(waiting)) leaveToo()
  leave()
  await turns.enter(new AbortController().signal)
})
