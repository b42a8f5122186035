/**
 * Imported by every test file (`import '../support/leaks.ts'`). After the file's last test and hook nothing may be left: no child
 * process (nor a child's child, even one that got a new parent), no socket, server or timer that keeps the process alive, no
 * rejection nobody handled. What is closing gets a moment; what remains fails the file, by name, and is ended.
 */
import { randomUUID } from 'node:crypto'
import { after } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'
import { endProcesses, markedProcesses } from './descendants.ts'
import { afterAllElse } from './scope.ts'

const graceMs = 3_000
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
  // Open handles would keep this file's process, and so the whole run, waiting for ever.
  if (handles.length > 0) setTimeout(() => process.exit(1), 500)
  throw new Error(`this file leaks:\n  ${problems.join('\n  ')}`)
}

afterAllElse({ after }, check, 3)
