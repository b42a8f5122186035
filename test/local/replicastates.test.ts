import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ReplicaEvent, type ReplicaState, transition } from '../../local/replicastates.ts'

const exit = { code: 70, signal: null }
const exited: ReplicaEvent = { kind: 'Exited', exit }
const now = 100_000

const rows: readonly { name: string; from: ReplicaState; event: ReplicaEvent; to: ReplicaState }[] = [
  {
    name: 'a started process that reports ready runs',
    from: { kind: 'Starting', since: 0, crashes: 1 },
    event: { kind: 'Ready' },
    to: { kind: 'Running', since: now, crashes: 1 },
  },
  {
    name: 'a running process that reports ready again goes on',
    from: { kind: 'Running', since: 5, crashes: 0 },
    event: { kind: 'Ready' },
    to: { kind: 'Running', since: 5, crashes: 0 },
  },
  {
    name: 'an unasked end backs off',
    from: { kind: 'Starting', since: 99_000, crashes: 0 },
    event: exited,
    to: { kind: 'BackingOff', until: now + 200, crashes: 1, exit },
  },
  {
    name: 'ends in a row back off longer',
    from: { kind: 'Starting', since: 99_000, crashes: 2 },
    event: exited,
    to: { kind: 'BackingOff', until: now + 800, crashes: 3, exit },
  },
  {
    name: 'a process that ends over and over backs off for ten seconds',
    from: { kind: 'Starting', since: 99_000, crashes: 49 },
    event: exited,
    to: { kind: 'BackingOff', until: now + 10_000, crashes: 50, exit },
  },
  {
    name: 'a process that ran for long starts the count anew',
    from: { kind: 'Running', since: 1_000, crashes: 5 },
    event: exited,
    to: { kind: 'BackingOff', until: now + 200, crashes: 1, exit },
  },
  {
    name: 'backing off ends in a start',
    from: { kind: 'BackingOff', until: now, crashes: 2, exit },
    event: { kind: 'Spawned' },
    to: { kind: 'Starting', since: now, crashes: 2 },
  },
  {
    name: 'backing off has nothing to drain',
    from: { kind: 'BackingOff', until: now, crashes: 2, exit },
    event: { kind: 'DrainRequested' },
    to: { kind: 'Stopped' },
  },
  {
    name: 'a running process drains',
    from: { kind: 'Running', since: 5, crashes: 0 },
    event: { kind: 'DrainRequested' },
    to: { kind: 'Draining', since: now },
  },
  {
    name: 'a drained process that ends has stopped',
    from: { kind: 'Draining', since: 5 },
    event: exited,
    to: { kind: 'Stopped' },
  },
  {
    name: 'draining is not undone',
    from: { kind: 'Draining', since: 5 },
    event: { kind: 'Ready' },
    to: { kind: 'Draining', since: 5 },
  },
  { name: 'stopped stays stopped', from: { kind: 'Stopped' }, event: { kind: 'Spawned' }, to: { kind: 'Stopped' } },
]

describe('the states of a supervised consumer', () => {
  for (const { name, from, event, to } of rows) it(name, () => assert.deepEqual(transition(from, event, now), to))
})
