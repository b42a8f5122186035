import './leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { eventually } from './wait.ts'

test('it tries until nothing is thrown, and returns what was returned', async () => {
  let tries = 0
  const value = await eventually(
    () => {
      tries += 1
      assert.equal(tries, 3)
      return 'third'
    },
    { intervalMs: 1 },
  )
  assert.equal(value, 'third')
})

for (const notYet of [false, null, 0, ''] as const) {
  test(`${JSON.stringify(notYet)} means not yet`, async () => {
    const values = [notYet, 'so']
    assert.equal(await eventually(async () => values.shift(), { intervalMs: 1 }), 'so')
  })
}

test('a function that only asserts passes by returning', async () => {
  assert.equal(await eventually(() => undefined), undefined)
})

test('the error holds the last reason, the time and the place of the call', async () => {
  const error: Error = await eventually(() => assert.fail('still blue'), { timeoutMs: 30, intervalMs: 5 }).then(
    () => assert.fail('it should have thrown'),
    (thrown: Error) => thrown,
  )
  assert.match(error.message, /not so within 30 ms \(tries: \d+\): still blue/)
  assert.ok(error.cause instanceof assert.AssertionError)
  assert.match(error.stack ?? '', /wait\.test\.ts/)
})

test('there is no further try once the wait is cancelled', async () => {
  const cancelled = new AbortController()
  let tries = 0
  const waiting = eventually(
    () => {
      tries += 1
      if (tries === 2) cancelled.abort()
      return false
    },
    { intervalMs: 1, signal: cancelled.signal },
  )
  await assert.rejects(waiting, { name: 'AbortError' })
  assert.equal(tries, 2)
})

test('an attempt that never returns does not outlast the time', async () => {
  await assert.rejects(
    eventually(() => new Promise(() => undefined), { timeoutMs: 30 }),
    /the first try did not return/,
  )
})
