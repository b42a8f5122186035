import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { StreamPipelineError } from '../../api/errors.ts'
import { createFleet, type Fleet } from '../../local/fleet.ts'
import type { Dead } from '../../local/slot.ts'
import type { Scope } from '../support/scope.ts'
import { eventually } from '../support/wait.ts'

/** Processes that only obey SIGTERM, or run `script`. */
function startFleet(
  t: Scope,
  script = 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000); console.log("up")',
) {
  const events: string[] = []
  const deaths: Dead[] = []
  const failures: StreamPipelineError[] = []
  const fleet = createFleet({
    name: 'ndvi',
    owner: 'local-test',
    command: process.execPath,
    compileCache: join(tmpdir(), 'node-compile-cache'),
    args: () => ['--eval', script],
    graceMs: 5_000,
    onEvent: (line) => events.push(line),
    onDeath: (dead) => deaths.push(dead),
    onFatal: (error) => failures.push(error),
  })
  t.after(() => fleet.stop())
  return { fleet, events, deaths, failures }
}

/** Processes start and end in between, which a busy machine takes its time for. */
const patience = { timeoutMs: 30_000 }

const namesOf = (fleet: Fleet) => fleet.replicas().map(({ name }) => name)
const startedNames = (events: readonly string[]) => events.flatMap((line) => /consumer (\S+) started/.exec(line)?.[1] ?? [])
const pidOf = (events: readonly string[], name: string) =>
  Number(
    new RegExp(`consumer ${name} started \\(pid (\\d+)\\)`).exec(
      events.findLast((line) => line.includes(`${name} started`)) ?? '',
    )?.[1],
  )

test('it starts what is wanted and drains the newest first', async (t) => {
  const { fleet, events } = startFleet(t)
  fleet.scaleTo(3)
  fleet.scaleTo(3)
  await eventually(() => startedNames(events).length === 3, patience)
  assert.deepEqual(namesOf(fleet), ['ndvi-1', 'ndvi-2', 'ndvi-3'])
  fleet.scaleTo(1)
  await eventually(() => fleet.replicas().length === 1, patience)
  assert.deepEqual(namesOf(fleet), ['ndvi-1'])
  fleet.scaleTo(2)
  assert.deepEqual(namesOf(fleet), ['ndvi-1', 'ndvi-2'])
})

test('a killed process comes back under its name, as another process', async (t) => {
  const { fleet, events, deaths } = startFleet(t)
  fleet.scaleTo(1)
  await eventually(() => startedNames(events).length === 1, patience)
  const [before] = fleet.replicas()
  process.kill(pidOf(events, 'ndvi-1'), 'SIGKILL')
  await eventually(() => startedNames(events).length === 2, patience)
  const [after] = fleet.replicas()
  assert.equal(after?.name, 'ndvi-1')
  assert.notEqual(after?.uid, before?.uid)
  assert.match(events.join('\n'), /ndvi-1 ended \(SIGKILL\); starting it again/)
  assert.deepEqual(deaths, [{ name: 'ndvi-1', uid: before?.uid }])
})

test('a process is running once its own heartbeat was seen', async (t) => {
  const { fleet, events } = startFleet(t)
  fleet.scaleTo(1)
  await eventually(() => startedNames(events).length === 1, patience)
  fleet.markReady('test-somebody-else')
  assert.equal(fleet.replicas()[0]?.state.kind, 'Starting')
  fleet.markReady(fleet.replicas()[0]?.uid ?? '')
  assert.equal(fleet.replicas()[0]?.state.kind, 'Running')
})

test('a refused configuration is fatal, not a reason to start again for ever', async (t) => {
  const { fleet, failures } = startFleet(
    t,
    `console.log(JSON.stringify({ level: 'error', msg: 'spec.x is wrong', remedy: 'write y' }))
     console.log(JSON.stringify({ level: 'info', msg: 'draining' })); process.exit(64)`,
  )
  fleet.scaleTo(1)
  await eventually(() => failures.length > 0, patience)
  assert.equal(failures[0]?.remedy, 'write y')
  assert.match(failures[0]?.message ?? '', /consumers cannot run: spec\.x is wrong/)
})

test('stopping ends a process that is backing off, and one that will not listen', async (t) => {
  const stubborn = createFleet({
    name: 'ndvi',
    owner: 'local-test',
    command: process.execPath,
    compileCache: join(tmpdir(), 'node-compile-cache'),
    args: () => ['--eval', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("up")'],
    graceMs: 300,
    onEvent: () => {},
    onDeath: () => {},
    onFatal: () => {},
  })
  stubborn.scaleTo(1)
  const { fleet, events } = startFleet(t, 'process.exit(1)')
  fleet.scaleTo(1)
  await eventually(() => fleet.replicas()[0]?.state.kind === 'BackingOff' && events.length > 3, patience)
  await Promise.all([fleet.stop(), stubborn.stop()])
  assert.deepEqual([fleet.replicas(), stubborn.replicas()], [[], []])
})
