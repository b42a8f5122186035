/** A pause ends with its time or with its signal, and leaves no timer behind. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pause } from '../../process/pause.ts'
import type { Timer } from '../../process/timer.ts'

/** A timer that is due when the test decides. */
function handTimer() {
  const due = new Set<() => void>()
  const timer: Timer = (_ms, call) => {
    due.add(call)
    return () => void due.delete(call)
  }
  return { timer, due }
}

test('it lasts its time', async () => {
  const { timer, due } = handTimer()
  let over = false
  const waiting = pause(5, new AbortController().signal, timer).then(() => {
    over = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([over, due.size], [false, 1])
  for (const call of due) call()
  await waiting
})

test('an abort ends it without an error, before or during it, and calls its timer off', async () => {
  const { timer, due } = handTimer()
  const stop = new AbortController()
  const waiting = pause(60_000, stop.signal, timer)
  stop.abort()
  await waiting
  await pause(60_000, stop.signal, timer)
  assert.equal(due.size, 0)
  // On real time as well: the test would not end in time otherwise.
  await pause(60_000, stop.signal)
})
