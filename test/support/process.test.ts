import './leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { markedProcesses } from './descendants.ts'
import { run, startProcess } from './process.ts'
import type { Scope } from './scope.ts'
import { eventually } from './wait.ts'

const script = (code: string): string[] => ['--input-type=module', '--eval', code]

test('output and exit code of a process come back apart', async (t) => {
  const done = await run(t, script('console.log(process.env.WORD); console.error("bad"); process.exitCode = 64'), {
    env: { WORD: 'good' },
  })
  assert.deepEqual(done, { code: 64, signal: null, stdout: 'good\n', stderr: 'bad\n' })
})

test('input is read to its end', async (t) => {
  const { stdout } = await run(t, [], { command: 'cat', input: 'over\n' })
  assert.equal(stdout, 'over\n')
})

test('a process that takes too long is killed and its output reported', async (t) => {
  // A shell, which has started long before the time is up, also on a busy machine.
  const endless = run(t, ['-c', 'echo so far; exec sleep 603'], { command: 'sh', timeoutMs: 4_000 })
  await assert.rejects(endless, /took longer than 4000 ms:\nso far/)
})

test('output can be waited for, and a graceful stop awaited', async (t) => {
  const child = await startProcess(
    t,
    script('process.on("SIGTERM", () => process.exit(3)); console.log("ready 7"); setInterval(() => {}, 1000)'),
  )
  assert.equal((await child.output(/ready (\d)/))[1], '7')
  assert.deepEqual(await child.stop(), { code: 3, signal: null })
  await assert.rejects(child.output(/never/), /the process ended \(3\) before any output matched/)
})

test('a process that ignores SIGTERM is killed after its grace', async (t) => {
  const child = await startProcess(t, script('process.on("SIGTERM", () => {}); console.log("on"); setInterval(() => {}, 1000)'))
  await child.output(/on/)
  assert.deepEqual(await child.stop('SIGTERM', 100), { code: null, signal: 'SIGKILL' })
})

test('what a process started goes with it', async () => {
  const hooks: ((context: unknown) => unknown)[] = []
  const scope: Scope = { after: (hook) => hooks.push(hook) }
  await startProcess(scope, ['-c', 'sleep 600 & sleep 601'], { command: 'sh', env: { FAMILY: 'of-sleepers' } })
  const family = () => markedProcesses('FAMILY', 'of-sleepers')
  if (process.platform === 'linux') await eventually(async () => (await family()).length === 3)
  for (const hook of hooks) await hook(undefined)
  await eventually(async () => (await family()).length === 0)
})

test('a file that leaks fails, naming what it leaked', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-leak-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'leaky.test.mjs')
  const leaks = new URL('leaks.ts', import.meta.url).href
  await writeFile(
    file,
    `import ${JSON.stringify(leaks)}
     import test from 'node:test'
     import { spawn } from 'node:child_process'
     import { createServer } from 'node:net'
     test('passes', async () => {
       spawn('sh', ['-c', 'sleep 602 & exit'], { stdio: 'ignore' })
       createServer().listen(0, '127.0.0.1')
       setTimeout(() => void Promise.reject(new Error('nobody listens')), 5)
     })`,
  )
  // Without the variable a test file would report to this run instead of printing.
  const done = await run(t, ['--test', '--test-reporter=spec', file], { env: { NODE_TEST_CONTEXT: undefined } })
  assert.equal(done.code, 1)
  assert.match(done.stdout, /leaky\.test\.mjs leaks:/)
  assert.match(done.stdout, /1 × TCPServerWrap/)
  assert.match(done.stdout, /nobody handled: Error: nobody listens/)
  if (process.platform === 'linux') assert.match(done.stdout, /process \d+ still runs: sleep 602/)
})
