import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { failure } from '../../api/errors.ts'
import { createHeldEntries } from '../../consumer/held.ts'
import { createLifecycle } from '../../consumer/lifecycle.ts'
import { type ConsumerEvent, type ConsumerState, isReady, mayRead, transition } from '../../consumer/states.ts'
import { createTally } from '../../consumer/tally.ts'
import { parseListen } from '../../process/httpserver.ts'
import { seed } from '../support/seed.ts'

const why = failure('RedisUnreachable', { address: 'h:1', detail: 'gone' })
const maxWaiting = 100

const states: Record<ConsumerState['kind'], ConsumerState> = {
  Starting: { kind: 'Starting', since: 0 },
  Running: { kind: 'Running', since: 0, failures: 2 },
  Backpressured: { kind: 'Backpressured', since: 0, waiting: 150 },
  BackendDown: { kind: 'BackendDown', since: 0, failures: 2, failure: why },
  Draining: { kind: 'Draining', since: 0, deadline: 9 },
  Stopped: { kind: 'Stopped', since: 0, clean: true },
}

const events = {
  StartFailed: { kind: 'StartFailed', failure: why },
  Started: { kind: 'Started' },
  SettledMuch: { kind: 'BatchSettled', waiting: 101 },
  SettledBetween: { kind: 'BatchSettled', waiting: 90 },
  SettledLittle: { kind: 'BatchSettled', waiting: 80 },
  BackendFailed: { kind: 'BackendFailed', failure: why },
  BackendAnswered: { kind: 'BackendAnswered' },
  DrainRequested: { kind: 'DrainRequested', deadline: 5 },
  Drained: { kind: 'Drained', clean: false },
} as const satisfies Record<string, ConsumerEvent>

const same = '='
const table: Record<ConsumerState['kind'], Record<keyof typeof events, string>> = {
  Starting: {
    StartFailed: 'Starting',
    Started: 'Running',
    SettledMuch: same,
    SettledBetween: same,
    SettledLittle: same,
    BackendFailed: same,
    BackendAnswered: same,
    DrainRequested: 'Draining',
    Drained: 'Stopped',
  },
  Running: {
    StartFailed: same,
    Started: same,
    SettledMuch: 'Backpressured',
    SettledBetween: 'Running',
    SettledLittle: 'Running',
    BackendFailed: 'BackendDown',
    BackendAnswered: same,
    DrainRequested: 'Draining',
    Drained: 'Stopped',
  },
  Backpressured: {
    StartFailed: same,
    Started: same,
    SettledMuch: 'Backpressured',
    SettledBetween: 'Backpressured',
    SettledLittle: 'Running',
    BackendFailed: 'BackendDown',
    BackendAnswered: same,
    DrainRequested: 'Draining',
    Drained: 'Stopped',
  },
  BackendDown: {
    StartFailed: same,
    Started: same,
    SettledMuch: same,
    SettledBetween: same,
    SettledLittle: same,
    BackendFailed: 'BackendDown',
    BackendAnswered: 'Running',
    DrainRequested: 'Draining',
    Drained: 'Stopped',
  },
  Draining: {
    StartFailed: same,
    Started: same,
    SettledMuch: same,
    SettledBetween: same,
    SettledLittle: same,
    BackendFailed: same,
    BackendAnswered: same,
    DrainRequested: same,
    Drained: 'Stopped',
  },
  Stopped: {
    StartFailed: same,
    Started: same,
    SettledMuch: same,
    SettledBetween: same,
    SettledLittle: same,
    BackendFailed: same,
    BackendAnswered: same,
    DrainRequested: same,
    Drained: same,
  },
}

for (const [from, row] of Object.entries(table)) {
  test(`from ${from}, every event`, () => {
    for (const [name, to] of Object.entries(row)) {
      const state = states[from as ConsumerState['kind']]
      const next = transition(state, events[name as keyof typeof events], 7, maxWaiting)
      if (to === same) assert.equal(next, state, name)
      else assert.equal(next.kind, to, name)
    }
  })
}

test('failures: counted per outage, kept over an answer, forgotten when a batch settles', () => {
  const apply = (state: ConsumerState, ...names: (keyof typeof events)[]) =>
    names.reduce((at, name) => transition(at, events[name], 7, maxWaiting), state)
  const running: ConsumerState = { kind: 'Running', since: 0, failures: 0 }
  const failuresOf = (state: ConsumerState) => ('failures' in state ? state.failures : undefined)
  assert.equal(failuresOf(apply(running, 'BackendFailed', 'BackendFailed', 'BackendFailed')), 1)
  assert.equal(failuresOf(apply(running, 'BackendFailed', 'BackendAnswered', 'BackendFailed')), 2)
  assert.equal(failuresOf(apply(running, 'BackendFailed', 'BackendAnswered', 'SettledLittle')), 0)
})

const event = fc.oneof(
  fc.constantFrom<ConsumerEvent>(...Object.values(events)),
  fc.nat(300).map((waiting): ConsumerEvent => ({ kind: 'BatchSettled', waiting })),
)

test('whatever happens: Stopped is for ever, Draining only ends, time never decides, reading means ready', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (history) => {
      let state: ConsumerState = states.Starting
      for (const next of history) {
        const before = state
        state = transition(before, next, 7, maxWaiting)
        assert.equal(transition(before, next, 8, maxWaiting).kind, state.kind)
        if (before.kind === 'Stopped') assert.equal(state, before)
        if (before.kind === 'Draining') assert.ok(state === before || state.kind === 'Stopped')
        if (before.kind !== 'Starting') assert.notEqual(state.kind, 'Starting')
        if (state.kind === 'Stopped' && before.kind !== 'Stopped') assert.equal(next.kind, 'Drained')
        if (mayRead(state)) assert.ok(isReady(state))
        if (state.kind === 'BackendDown') assert.ok(state.failures > 0 && !isReady(state))
      }
    }),
    { seed },
  )
})

test('the lifecycle notifies listeners, wakes waits, and aborts sleepers when draining begins', async () => {
  const lifecycle = createLifecycle(maxWaiting, () => 1)
  const seen: string[] = []
  lifecycle.onChange((state, previous) => seen.push(`${previous.kind}>${state.kind}`))
  const running = lifecycle.until(mayRead)
  lifecycle.dispatch({ kind: 'Started' })
  lifecycle.dispatch({ kind: 'Started' })
  assert.equal((await running).kind, 'Running')
  lifecycle.backendFailed(why)
  assert.equal(lifecycle.draining.aborted, false)
  const woken = lifecycle.until(() => lifecycle.draining.aborted)
  lifecycle.dispatch({ kind: 'DrainRequested', deadline: 3 })
  assert.equal((await woken).kind, 'Draining')
  lifecycle.dispatch({ kind: 'Drained', clean: true })
  assert.deepEqual(seen, ['Starting>Running', 'Running>BackendDown', 'BackendDown>Draining', 'Draining>Stopped'])
})

test('held entries are due by their own age, once', () => {
  const held = createHeldEntries()
  held.add(['a', 'b'], 0)
  held.add(['c'], 50)
  assert.deepEqual(held.due(100, 99), [])
  assert.deepEqual(held.due(100, 100), ['a', 'b'])
  assert.deepEqual(held.due(100, 150), ['c'])
  held.remove(['a'])
  assert.deepEqual([held.size, held.has('a'), held.has('b')], [2, false, true])
  assert.deepEqual(held.due(0, 151), ['b', 'c'])
})

test('the tally sums, and its service time follows', () => {
  const tally = createTally()
  const batch = (entries: number, durationMs: number) =>
    tally.batch({ entries, outcomes: { forwarded: entries, duplicate: 1, dead: 2, gone: 0 }, dead: [], settled: [], durationMs })
  batch(100, 200)
  tally.reclaim({ claimed: 3, trimmed: 1, exhausted: ['1-1'] })
  assert.deepEqual(tally.read(), { serviceMs: 2, forwarded: 100, duplicates: 1, dead: 4, reclaimed: 3 })
  for (let i = 0; i < 100; i++) batch(100, 1_000)
  assert.ok(Math.abs(tally.read().serviceMs - 10) < 0.01)
  batch(1, 10_000)
  assert.ok(tally.read().serviceMs < 31, 'one straggler hardly counts')
})

test('the service time is the mean of all while there are few', () => {
  const tally = createTally()
  for (const durationMs of [100, 1, 1, 2]) {
    tally.batch({ entries: 1, outcomes: { forwarded: 1, duplicate: 0, dead: 0, gone: 0 }, dead: [], settled: [], durationMs })
  }
  assert.equal(tally.read().serviceMs, 26)
  tally.batch({
    entries: 0,
    outcomes: { forwarded: 0, duplicate: 0, dead: 0, gone: 0 },
    dead: [],
    settled: [],
    durationMs: 5_000,
  })
  assert.equal(tally.read().serviceMs, 26, 'an attempt that settled nothing says nothing')
  for (let i = 0; i < 400; i++) {
    tally.batch({ entries: 1, outcomes: { forwarded: 1, duplicate: 0, dead: 0, gone: 0 }, dead: [], settled: [], durationMs: 2 })
  }
  assert.ok(tally.read().serviceMs < 2.3)
})

test('--listen takes HOST:PORT, :PORT and [v6]:PORT', () => {
  assert.deepEqual(parseListen('--listen', '1.2.3.4:80'), { host: '1.2.3.4', port: 80 })
  assert.deepEqual(parseListen('--listen', ':9090'), { host: undefined, port: 9090 })
  assert.deepEqual(parseListen('--listen', '[::1]:0'), { host: '::1', port: 0 })
  for (const text of ['', '9090', 'h:', 'h:x', 'h:70000', '::1:80']) {
    assert.throws(() => parseListen('--listen', text), /--listen/)
  }
})
