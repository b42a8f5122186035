import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { watching } from '../../../consumer/loops/watching.ts'
import { createClockwork } from './clockwork.ts'

test('the queue is counted each second while Backpressured, and not otherwise', async () => {
  const work = createClockwork()
  const counted: number[] = []
  let waiting = 500
  const observeQueue = async () => {
    counted.push(work.clock.now())
    work.lifecycle.dispatch({ kind: 'BatchSettled', waiting })
  }
  const loop = watching({ ...work, observeQueue })
  await work.pass(5_000)
  assert.deepEqual(counted, [])
  work.lifecycle.dispatch({ kind: 'BatchSettled', waiting })
  await work.pass(2_500)
  assert.deepEqual(counted, [6_000, 7_000])
  // 80 of 100 is where reading starts again.
  waiting = 80
  await work.pass(3_000)
  assert.deepEqual([counted.length, work.lifecycle.state.kind], [3, 'Running'])
  work.drain()
  await loop
  assert.equal(work.clock.waiting, 0)
})

test('draining ends the wait, and nothing is counted any more', async () => {
  const work = createClockwork()
  let counted = 0
  const loop = watching({ ...work, observeQueue: async () => void counted++ })
  work.lifecycle.dispatch({ kind: 'BatchSettled', waiting: 500 })
  await work.pass(500)
  work.drain()
  await loop
  assert.equal(counted, 0)
})
