/** Places for a limited number of holders: order, the longest wait, the state after an abort. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSemaphore } from '../../process/semaphore.ts'
import { systemTimer } from '../../process/timer.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))
const never = new AbortController().signal

test('as many as agreed are inside, the others follow in order, each leaves once', async () => {
  const semaphore = createSemaphore(2)
  const inside: number[] = []
  const leaves = new Map<number, (() => void) | undefined>()
  const all = [0, 1, 2, 3].map(async (n) => {
    leaves.set(n, await semaphore.take(never))
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

test('no place is lost among many, and idle waits for the last', async () => {
  const semaphore = createSemaphore(3)
  let [inside, most, done] = [0, 0, 0]
  const work = async () => {
    const leave = await semaphore.take(never)
    inside += 1
    most = Math.max(most, inside)
    await settled()
    inside -= 1
    done += 1
    leave?.()
  }
  const all = Promise.all(Array.from({ length: 50 }, work))
  await semaphore.idle()
  assert.deepEqual([most, inside, done], [3, 0, 50])
  await all
})

test('a wait that is aborted takes no place, and later ones get what is freed', async () => {
  const semaphore = createSemaphore(1)
  const stop = new AbortController()
  const leave = await semaphore.take(never)
  const aborted = semaphore.take(stop.signal)
  const next = semaphore.take(never)
  stop.abort()
  assert.equal(await aborted, undefined)
  assert.equal(await semaphore.take(stop.signal), undefined)
  leave?.()
  const leaveToo = await next
  assert.ok(leaveToo)
  leaveToo()
  await semaphore.idle()
})

test('a freed place goes to the first in line, not to a newcomer of the same moment', async () => {
  const semaphore = createSemaphore(1)
  const order: string[] = []
  const leave = await semaphore.take(never)
  const take = async (name: string) => {
    const leaveToo = await semaphore.take(never)
    order.push(name)
    leaveToo?.()
  }
  const first = take('first')
  leave?.()
  await Promise.all([take('newcomer'), first])
  assert.deepEqual(order, ['first', 'newcomer'])
})

test('where holders hang, the next goes in when it has waited long enough', async () => {
  const semaphore = createSemaphore(1, { ms: 30, timer: systemTimer })
  const leave = await semaphore.take(never)
  const startedMs = performance.now()
  const leaveToo = await semaphore.take(never)
  assert.ok(performance.now() - startedMs >= 25)
  const waiting = semaphore.take(never)
  leave?.()
  leaveToo?.()
  const last = await waiting
  last?.()
  await semaphore.idle()
})
