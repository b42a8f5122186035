/** One process behind the wall: how it ends, and what its parent learns of that. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { noLimits } from '../../../operator/limits.ts'
import { type ChildEnd, startChild } from '../../../operator/wall/child.ts'
import { createLookHost } from '../../../operator/wall/looks/host.ts'
import type { FromLooks } from '../../../operator/wall/looks/messages.ts'
import type { ProgramName } from '../../../operator/wall/program.ts'
import { systemClock } from '../../../process/clock.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { eventually } from '../../support/wait.ts'

/** A process of that program. Resolves when it listens. */
async function started(t: TestContext, program: ProgramName) {
  const ready = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<ChildEnd>()
  const messages: FromLooks[] = []
  const child = startChild<unknown, FromLooks>({
    program,
    clock: systemClock,
    silenceMs: 20_000,
    mostBytes: 2 ** 30,
    onReady: ready.resolve,
    onMessage: (message) => void messages.push(message),
    onEnd: ended.resolve,
  })
  t.after(() => child.end(0))
  await ready.promise
  return { child, ended: ended.promise, messages }
}

const settings = {
  everyMs: 100,
  quietMs: 1_000,
  referencesEveryMs: 1_000,
  inCluster: false,
  limits: noLimits,
  decisionLog: 'none',
  cluster: 'c',
} as const

test('the text of an uncaught exception is kept apart from the cause that tenants read', async (t) => {
  const { child, ended } = await started(t, 'looks')
  child.send({ kind: 'Watch', key: 'tenant/one' })
  const { why, output } = await ended
  assert.equal(why, 'it ended with code 1')
  assert.match(output, /^TypeError: Cannot read properties of undefined/)
  assert.match(output, /looks\/program\.ts:\d+/)
})

test('the properties of an uncaught exception are not printed, and neither is what is no Error', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'wall-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const parent = new URL('../../../operator/wall/parent.ts', import.meta.url)
  const thrown = [
    `Object.assign(new Error('refused'), { command: { name: 'auth', args: ['canary'] } })`,
    `Promise.reject(Object.assign(new Error('refused'), { args: ['canary'] }))`,
    `{ password: 'canary' }`,
    `Promise.reject({ password: 'canary' })`,
    `new Error('x'.repeat(100_000) + 'canary\\n\\u001b[2J')`,
  ]
  for (const [n, each] of thrown.entries()) {
    const file = join(folder, `${n}.mjs`)
    const start = each.startsWith('Promise') ? `void ${each}` : `throw ${each}`
    writeFileSync(
      file,
      `import { connectToParent } from ${JSON.stringify(parent.href)}
connectToParent(() => {}, async () => {})
setTimeout(() => { ${start} }, 1)`,
    )
    const program = fork(file, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    assert.ok(program.stderr !== null)
    const [output, [code]] = await Promise.all([text(program.stderr), once(program, 'exit')])
    assert.equal(code, 1, each)
    assert.ok(output.length > 5 && output.length <= 1_501, `${each}: ${output}`)
    assert.ok(!output.includes('canary') && !output.includes('\u001b'), each)
  }
})

test('a process out of memory is reported as such', async (t) => {
  const { child, ended } = await started(t, 'judge')
  child.send({ id: 1, value: { spec: { payload: { schema: { enum: Array.from({ length: 3_000_000 }, (_, n) => `${n}`) } } } } })
  const { why, output } = await ended
  assert.equal(why, 'it ran out of memory')
  assert.match(output, /^FATAL ERROR/)
})

test('a process that cannot be started is reported as such', async (t) => {
  const { execPath } = process
  t.after(() => {
    process.execPath = execPath
  })
  process.execPath = '/nowhere/node'
  const ended = Promise.withResolvers<ChildEnd>()
  startChild<unknown, FromLooks>({
    program: 'looks',
    clock: systemClock,
    silenceMs: 20_000,
    mostBytes: 2 ** 30,
    onReady: () => undefined,
    onMessage: () => undefined,
    onEnd: ended.resolve,
  })
  assert.match((await ended.promise).why ?? '', /^it cannot be started: .*ENOENT/)
})

test('a pipeline that was never sent is reported', async (t) => {
  const { child, messages } = await started(t, 'looks')
  child.send({ kind: 'Settings', settings })
  child.send({ kind: 'Watch', key: 'a/b', watched: { livingPods: [] } })
  await eventually(() => {
    const [first] = messages
    assert.ok(first?.kind === 'Failure' && first.key === 'a/b' && first.error.code === 'Internal')
  })
})

test('the log gets the last output; the observation of a quarantined pipeline does not', async (t) => {
  const failures: Readonly<Record<string, unknown>>[] = []
  const host = createLookHost({
    clock: systemClock,
    settings,
    reader: { read: () => Promise.reject(new Error('none')) },
    confirmGone: async () => false,
    pipelineGone: () => false,
    onReaped: () => undefined,
    onReapingFailure: () => undefined,
    onChange: () => undefined,
    onDecision: () => undefined,
    onLook: () => undefined,
    onFailure: (_error, fields) => void failures.push(fields),
  })
  t.after(() => host.close())
  // No author can write such a spec: its sink becomes null on the way to the process, and ends that process. In this process it is
  // whole.
  const whole = pipelineWith({ redis: { url: 'redis://127.0.0.1:1' } })
  const pipeline = { ...whole, sink: { ...whole.sink, toJSON: () => null } } as never
  host.watch('ns/bad', { pipeline, currentReplicas: 1, mode: undefined, livingPods: new Set() })
  await eventually(
    () => {
      const observation = host.observation('ns/bad')
      assert.ok(observation.kind === 'Failed' && observation.error.code === 'LookQuarantined', JSON.stringify(failures))
      assert.doesNotMatch(observation.error.advice, /TypeError|program\.ts/)
    },
    { timeoutMs: 60_000 },
  )
  assert.match(String(failures[0]?.['output']), /^TypeError/)
})
