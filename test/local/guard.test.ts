import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startGuard } from '../../local/guard.ts'
import { markOf, stateOf } from '../../local/processmark.ts'
import { startProcess } from '../support/process.ts'
import { projectRoot } from '../support/root.ts'
import type { Scope } from '../support/scope.ts'
import { eventually } from '../support/wait.ts'

const patience = { timeoutMs: 30_000 }
const deaf = 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("up")'
const docile = 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000); console.log("up")'

/** A process that guards two children, of which one ignores SIGTERM. Its output names their numbers and the guard's. */
async function startParent(t: Scope, graceMs: number) {
  const at = (file: string) => JSON.stringify(join(projectRoot, 'local', file))
  const script = `
    const { startGuard } = await import(${at('guard.ts')})
    const { startChild } = await import(${at('child.ts')})
    const guard = startGuard(${graceMs})
    const children = []
    for (const text of ${JSON.stringify([deaf, docile])}) {
      children.push(await new Promise((resolve) => {
        const started = startChild(process.execPath, ['--eval', text], { guard, onLine: () => started.then(resolve) })
      }))
    }
    console.log('children', ...children.map(({ pid }) => pid))`
  const parent = await startProcess(t, ['--input-type=module', '--eval', script])
  const [, pids = ''] = await parent.output(/children (.+)/, patience)
  return { parent, pids: pids.split(' ').map(Number) }
}

const isRunning = async (pid: number) => (await markOf(pid)) !== undefined

test('children end with a parent that is killed, within five seconds, those too that will not listen', async (t) => {
  for (const graceMs of [0, 2_000]) {
    const { parent, pids } = await startParent(t, graceMs)
    assert.deepEqual(await Promise.all(pids.map(isRunning)), [true, true])
    parent.signal('SIGKILL')
    await parent.exit.then(
      () => undefined,
      () => undefined,
    )
    const killedAt = performance.now()
    await eventually(async () => (await Promise.all(pids.map(isRunning))).every((running) => !running), patience)
    const tookMs = performance.now() - killedAt
    assert.ok(tookMs < 5_000, `${tookMs} ms`)
    t.diagnostic(`grace ${graceMs} ms: gone after ${Math.round(tookMs)} ms`)
  }
})

test('a frozen child ends as well, and a guard that is killed is replaced', async (t) => {
  const { parent, pids } = await startParent(t, 500)
  const [frozen = 0] = pids
  process.kill(frozen, 'SIGSTOP')
  const children = async () =>
    (await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8')).trim().split(' ').map(Number)
  const guardNow = async () => (await children()).find((pid) => !pids.includes(pid))
  const guard = (await guardNow()) ?? 0
  process.kill(guard, 'SIGKILL')
  await eventually(async () => ![undefined, guard].includes(await guardNow()), patience)
  // The test sees the new guard before that guard knows which processes it guards.
  await sleep(500)
  parent.signal('SIGKILL')
  await eventually(async () => (await Promise.all(pids.map(isRunning))).every((running) => !running), patience)
})

test('a guard lets go of what has ended or is left, and ends on request', async (t) => {
  const child = await startProcess(t, ['--eval', deaf])
  await child.output(/up/)
  const guard = startGuard(0)
  for (const pid of [child.pid, 999_999_999, child.pid + 1_000_000]) guard.watch(pid)
  guard.leave(999_999_999)
  await Promise.all([guard.stop(), guard.stop()])
  assert.ok(child.running(), 'it was left')
})

test('a mark distinguishes a process from a later one, and from one of another host, boot or PID namespace', async () => {
  const mark = await markOf(process.pid)
  assert.ok(mark)
  assert.equal(await stateOf(mark), 'Running')
  assert.equal(await stateOf({ ...mark, started: '1' }), 'Gone')
  assert.equal(await stateOf({ ...mark, pid: 999_999_999 }), 'Gone')
  assert.equal(await stateOf({ ...mark, pid: 999_999_999, space: 'elsewhere' }), 'Unknown')
})
