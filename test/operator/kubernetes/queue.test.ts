import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { retryDelayMs } from '../../../operator/kubernetes/delayedadds.ts'
import type { Priority } from '../../../operator/kubernetes/keystates.ts'
import { createQueue } from '../../../operator/kubernetes/queue.ts'
import { seed } from '../../support/seed.ts'
import { createTestClock } from '../../support/testclock.ts'

type Step =
  | { readonly do: 'add'; readonly key: string; readonly priority: Priority }
  | { readonly do: 'addAfter'; readonly key: string; readonly ms: number }
  | { readonly do: 'retry'; readonly key: string }
  | { readonly do: 'take' }
  | { readonly do: 'done'; readonly pick: number }
  | { readonly do: 'advance'; readonly ms: number }

const keys = fc.constantFrom('a', 'b', 'c', 'd')
const steps = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('add' as const),
      key: keys,
      priority: fc.constantFrom<Priority>('Changed', 'Observed', 'Resynced'),
    }),
    fc.record({ do: fc.constant('addAfter' as const), key: keys, ms: fc.integer({ min: 1, max: 500 }) }),
    fc.record({ do: fc.constant('retry' as const), key: keys }),
    fc.record({ do: fc.constant('take' as const) }),
    fc.record({ do: fc.constant('done' as const), pick: fc.nat(7) }),
    fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 300 }) }),
  ),
  { maxLength: 120 },
)

test('whatever happens, no key is handled twice at once, and every add is followed by a whole handling', async () => {
  const property = fc.asyncProperty(steps, async (script: Step[]) => {
    const clock = createTestClock()
    const queue = createQueue(clock)
    const running: string[] = []
    /** Keys with an add that no take has followed yet. */
    const owed = new Set<string>()
    let delayedUntilMs = 0
    const take = async () => {
      if (queue.depth === 0) return
      const taken = await queue.take()
      assert.ok(taken)
      assert.ok(!running.includes(taken.key), `${taken.key} is under way already`)
      running.push(taken.key)
      owed.delete(taken.key)
    }
    for (const step of script) {
      switch (step.do) {
        case 'add':
          queue.add(step.key, step.priority)
          owed.add(step.key)
          break
        case 'addAfter':
          queue.addAfter(step.key, step.ms)
          delayedUntilMs = Math.max(delayedUntilMs, clock.now() + step.ms)
          break
        case 'retry':
          delayedUntilMs = Math.max(delayedUntilMs, clock.now() + queue.retry(step.key))
          break
        case 'take':
          await take()
          break
        case 'done': {
          const [key] = running.splice(step.pick % Math.max(1, running.length), 1)
          if (key !== undefined) queue.done(key)
          break
        }
        case 'advance':
          clock.advance(step.ms)
          break
        default:
          step satisfies never
      }
    }
    clock.advance(Math.max(0, delayedUntilMs - clock.now()))
    for (const key of running.splice(0)) queue.done(key)
    while (queue.depth > 0) {
      await take()
      for (const key of running.splice(0)) queue.done(key)
    }
    assert.deepEqual([...owed], [])
    assert.equal(clock.waiting, 0)
    assert.equal(queue.longestRunningMs(), 0)
  })
  await fc.assert(property, { numRuns: 500, seed })
})

test('a hundred adds of one key are one piece of work; an add while it is under way is one more', async () => {
  const queue = createQueue(createTestClock())
  for (let i = 0; i < 100; i++) queue.add('a')
  assert.equal(queue.depth, 1)
  assert.equal((await queue.take())?.key, 'a')
  for (let i = 0; i < 100; i++) queue.add('a')
  assert.equal(queue.depth, 0)
  queue.done('a')
  assert.equal(queue.depth, 1)
  assert.equal((await queue.take())?.key, 'a')
  queue.done('a')
  assert.equal(queue.depth, 0)
})

test('what changed is served before what was observed, that before the rest, and an urgent add moves a key forward', async () => {
  const queue = createQueue(createTestClock())
  for (const key of ['r1', 'r2', 'r3', 'r4']) queue.add(key, 'Resynced')
  queue.add('o1', 'Observed')
  queue.add('r4', 'Observed')
  queue.add('c1', 'Changed')
  queue.add('r3', 'Changed')
  queue.add('c1', 'Resynced')
  assert.equal(queue.depth, 6)
  const order: (string | undefined)[] = []
  for (let i = 0; i < 6; i++) order.push((await queue.take())?.key)
  assert.deepEqual(order, ['c1', 'r3', 'o1', 'r4', 'r1', 'r2'])
})

test('a taker that does not take one priority gets a waiting key as soon as the key is more urgent', async () => {
  const queue = createQueue(createTestClock())
  const taken: (string | undefined)[] = []
  const waiting = queue.take(['Changed', 'Resynced']).then((each) => taken.push(each?.key))
  queue.add('a', 'Observed')
  await Promise.resolve()
  assert.deepEqual([taken, queue.depth], [[], 1])
  queue.add('a', 'Changed')
  assert.equal(queue.depth, 0)
  await waiting
  assert.deepEqual(taken, ['a'])
})

test('a key that is added again under way waits with the most urgent of what was asked', async () => {
  const queue = createQueue(createTestClock())
  queue.add('a', 'Resynced')
  await queue.take()
  for (const priority of ['Resynced', 'Changed', 'Observed'] as const) queue.add('a', priority)
  queue.add('o1', 'Observed')
  queue.done('a')
  assert.equal((await queue.take())?.key, 'a')
})

test('back-off doubles per key from 5 ms to 1000 s, and starts anew after a success', () => {
  const clock = createTestClock()
  const queue = createQueue(clock)
  assert.deepEqual([0, 1, 2, 10, 17, 18, 1_000].map(retryDelayMs), [5, 10, 20, 5_120, 655_360, 1_000_000, 1_000_000])
  assert.deepEqual([queue.retry('a'), queue.retry('a'), queue.retry('b'), queue.retry('a')], [5, 10, 5, 20])
  queue.forget('a')
  assert.equal(queue.retry('a'), 5)
  queue.close()
  assert.equal(clock.waiting, 0)
})

test('of two delayed adds the sooner wins', () => {
  const clock = createTestClock()
  const queue = createQueue(clock)
  queue.addAfter('a', 1_000)
  queue.addAfter('a', 100)
  queue.addAfter('a', 500)
  clock.advance(99)
  assert.equal(queue.depth, 0)
  clock.advance(1)
  assert.equal(queue.depth, 1)
  assert.equal(clock.waiting, 0)
})

test('closing wakes the waiting reader, drops waiting keys, and lets what is under way finish', async () => {
  const clock = createTestClock()
  const queue = createQueue(clock)
  queue.add('a')
  const a = await queue.take()
  const waiting = queue.take()
  queue.addAfter('b', 10)
  queue.close()
  assert.equal(await waiting, undefined)
  queue.add('a')
  queue.done(a?.key ?? '')
  assert.equal(queue.depth, 0)
  assert.equal(await queue.take(), undefined)
  assert.equal(clock.waiting, 0)
})

test('the wait from add to take is measured', async () => {
  const clock = createTestClock()
  const waits: number[] = []
  const queue = createQueue(clock, { waited: (ms) => waits.push(ms) })
  queue.add('a')
  clock.advance(250)
  assert.deepEqual(await queue.take(), { key: 'a', waitedMs: 250 })
  assert.deepEqual(waits, [250])
})

test('a namespace that has rested for an hour takes no share from the others, and gets its own again with its next key', async () => {
  const clock = createTestClock()
  const queue = createQueue(clock, {}, { Changed: 2, Observed: 2, Resynced: 2 })
  const finish = async (key: string) => {
    queue.add(key)
    assert.equal((await queue.take())?.key, key)
    queue.done(key)
  }
  await finish('gone/x')
  const taken = async () => {
    for (let n = 0; n < 5; n++) queue.add(`busy/${n}`)
    const keys: string[] = []
    for (let n = 0; n < 5; n++) {
      const took = await Promise.race([queue.take(), setImmediate(undefined)])
      if (took !== undefined) keys.push(took.key)
    }
    for (const key of keys) queue.done(key)
    return keys.length
  }
  assert.equal(await taken(), 2)
  queue.close()

  const later = createQueue(clock, {}, { Changed: 2, Observed: 2, Resynced: 2 })
  later.add('gone/x')
  later.done((await later.take())?.key ?? '')
  clock.advance(3_600_001)
  for (let n = 0; n < 5; n++) later.add(`busy/${n}`)
  for (let n = 0; n < 5; n++) assert.ok(await later.take())
  later.add('gone/x')
  for (let n = 5; n < 9; n++) later.add(`busy/${n}`)
  assert.equal((await later.take())?.key, 'gone/x')
  for (let n = 0; n < 4; n++) later.done(`busy/${n}`)
  assert.ok(await later.take())
  later.close()
})
