/** Signals to `up`, in a process of its own: what each of them does, and what the exit code then says. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { startProcess } from '../support/process.ts'
import { projectRoot } from '../support/root.ts'
import type { Scope } from '../support/scope.ts'

const source = JSON.stringify(join(projectRoot, 'local', 'stopping.ts'))
const program = `
  const { listenForSignals } = await import(${source})
  const stopping = listenForSignals((count) => console.log('signal ' + count))
  console.log('listening')
  if (process.argv[1] === 'over') { stopping.release(); console.log('over') }
  setTimeout(() => process.exit(7), process.argv[1] === 'over' ? 1_000 : 60_000)
`

const start = (t: Scope, argument: string) =>
  startProcess(t, ['--input-type=module', '--eval', program, argument], { env: { NODE_OPTIONS: '' } })

test('the first signal requests a drain, the second an end at once, and the third ends the process', async (t) => {
  const child = await start(t, 'running')
  await child.output(/listening/)
  for (const count of [1, 2]) {
    child.signal(count === 1 ? 'SIGHUP' : 'SIGINT')
    await child.output(new RegExp(`signal ${count}`))
  }
  child.signal('SIGTERM')
  assert.deepEqual(await child.exit, { code: 130, signal: null })
})

test('a signal after the run does not replace its exit code', async (t) => {
  const child = await start(t, 'over')
  await child.output(/over/)
  child.signal('SIGINT')
  child.signal('SIGTERM')
  assert.deepEqual(await child.exit, { code: 7, signal: null })
  assert.doesNotMatch(child.stdout(), /signal/)
})
