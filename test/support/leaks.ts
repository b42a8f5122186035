/**
 * Every test file imports this (`import '../support/leaks.ts'`). After the file's last test and hook nothing may be left:
 *
 * - no child process, and no child of a child, even one with a new parent;
 * - no socket, server or timer that keeps the process alive;
 * - no unhandled rejection.
 *
 * Handles that are closing get a moment. Others fail the file, by name, and are ended.
 */
import { randomUUID } from 'node:crypto'
import { relative } from 'node:path'
import { after } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'
import { endProcesses, markedProcesses } from './descendants.ts'
import { projectRoot } from './root.ts'
import { afterAllElse } from './scope.ts'

const graceMs = 8_000
const variable = 'STREAMPIPELINE_TEST_FILE'
const mark = randomUUID()
process.env[variable] = mark

const counted = (names: readonly string[]): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

const atStart = counted(process.getActiveResourcesInfo())
const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))
process.on('uncaughtExceptionMonitor', (error, origin) => {
  if (origin === 'uncaughtException') unhandled.push(error)
})

const openHandles = (): string[] =>
  [...counted(process.getActiveResourcesInfo())]
    .map(([name, count]) => ({ name, extra: count - (atStart.get(name) ?? 0) }))
    .filter(({ extra }) => extra > 0)
    .map(({ name, extra }) => `${extra} × ${name}`)

const check = async (): Promise<void> => {
  const deadline = performance.now() + graceMs
  let handles = openHandles()
  let processes = await markedProcesses(variable, mark)
  while ((handles.length > 0 || processes.length > 0) && performance.now() < deadline) {
    await delay(25)
    handles = openHandles()
    processes = await markedProcesses(variable, mark)
  }
  const problems = [
    ...processes.map(({ pid, command }) => `process ${pid} still runs: ${command}`),
    ...(handles.length > 0 ? [`handles still open: ${handles.join(', ')}`] : []),
    ...unhandled.map((reason) => `nobody handled: ${inspect(reason)}`),
  ]
  if (problems.length === 0) return
  endProcesses(processes)
  // The runner reports the place where the hook was registered, which is here. So the message names the file.
  const message = `${relative(projectRoot, process.argv[1] ?? '')} leaks:\n  ${problems.join('\n  ')}`
  if (handles.length > 0) {
    // Open handles would keep this file's process, and so the whole run, waiting for ever. A file that is run by itself prints
    // its failures only when it ends of its own accord.
    if (process.env.NODE_TEST_CONTEXT === undefined) console.error(message)
    setTimeout(() => process.exit(1), 500)
  }
  throw new Error(message)
}

afterAllElse({ after }, check, 3)
