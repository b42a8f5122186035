import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as eventLoop } from 'node:timers/promises'
import { createController, workers } from '../../../operator/kubernetes/controller.ts'
import type { Priority } from '../../../operator/kubernetes/keystates.ts'
import { createQueue } from '../../../operator/kubernetes/queue.ts'
import { createTestClock } from '../../support/testclock.ts'

const keys = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`)

test('a turn of the event loop is ten milliseconds of work, however many workers there are', async () => {
  const clock = createTestClock()
  const queue = createQueue(clock)
  for (const key of keys('k', 300)) queue.add(key, 'Resynced')
  const stop = new AbortController()
  let longestMs = 0
  let turnedMs = clock.now()
  const controller = createController(
    queue,
    async () => {
      clock.advance(2)
      longestMs = Math.max(longestMs, clock.now() - turnedMs)
      return {}
    },
    { clock, workers },
  )
  const running = controller.run(stop.signal, new AbortController().signal)
  while (queue.depth > 0) {
    turnedMs = clock.now()
    await eventLoop()
  }
  stop.abort()
  await running
  assert.equal(clock.now(), 600)
  // Each worker still finishes the reconcile that it had under way when the ten milliseconds ended.
  assert.ok(longestMs <= 10 + 2 * workers, `${longestMs} ms in one turn`)
})

test('while statuses of Observed keys are written, Changed and Resynced keys are served', async () => {
  const clock = createTestClock()
  const queue = createQueue(clock)
  const stop = new AbortController()
  const written = Promise.withResolvers<void>()
  const begun: Record<Priority, number> = { Changed: 0, Observed: 0, Resynced: 0 }
  const controller = createController(
    queue,
    async (key) => {
      const priority = key.replace(/\d+$/, '') as Priority
      begun[priority] += 1
      if (priority === 'Observed') await written.promise
      return {}
    },
    { clock, workers },
  )
  const running = controller.run(stop.signal, new AbortController().signal)
  for (const key of keys('Observed', 20)) queue.add(key, 'Observed')
  for (const key of keys('Resynced', 20)) queue.add(key, 'Resynced')
  queue.add('Changed0', 'Changed')
  for (let turn = 0; turn < 50; turn++) await eventLoop()
  assert.deepEqual(begun, { Changed: 1, Observed: workers / 2, Resynced: 20 })
  written.resolve()
  for (let turn = 0; turn < 50; turn++) await eventLoop()
  assert.equal(begun.Observed, 20)
  stop.abort()
  await running
})
