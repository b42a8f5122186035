/**
 * A child process in its own process group. The terminal's Ctrl-C reaches only this process, which decides when a child stops. A
 * short tail of its standard output and error is kept, and shown when it ends unasked.
 *
 * A child ends with this process in any case: by the guard (guard.ts), or by itself if it is tied to a pipe.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Guard } from './guard.ts'

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Child {
  readonly pid: number
  /** Settles when the process has ended; never rejects. */
  readonly exited: Promise<Exit>
  /** Its last lines of output. */
  tail(): readonly string[]
  /** SIGTERM, after `graceMs` SIGKILL; resolves when it has ended. Idempotent. */
  stop(graceMs: number): Promise<Exit>
  /** SIGKILL. */
  kill(): void
}

const tailLines = 20

export interface ChildOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Every complete line of output. */
  readonly onLine?: (line: string) => void
  /** Its standard input is a pipe. The child ends when the pipe closes, which happens when this process ends. */
  readonly tied?: boolean
  /** Ends it if this process is killed. */
  readonly guard?: Pick<Guard, 'watch' | 'leave'> | undefined
}

/** Resolves once the process runs; rejects with Node's system error when it can't be started. */
export async function startChild(command: string, args: readonly string[], options: ChildOptions = {}): Promise<Child> {
  const child = spawn(command, args, {
    detached: true,
    stdio: [options.tied ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    env: options.env ?? process.env,
  })
  // At once: this process may end a moment later.
  if (child.pid !== undefined) options.guard?.watch(child.pid)
  const lines: string[] = []
  const keep = (line: string) => {
    lines.push(line)
    if (lines.length > tailLines) lines.shift()
    options.onLine?.(line)
  }
  const exited = new Promise<Exit>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
  // By 'exit', not by 'close', which comes later: after 'exit' the system may give the process id to another process.
  child.once('exit', () => child.pid !== undefined && options.guard?.leave(child.pid))
  child.stdin?.on('error', () => undefined) // nothing is written
  readLines(child, keep)
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  const running = () => child.exitCode === null && child.signalCode === null
  // It is in a process group of its own, so nothing else would stop it if this process ended first.
  const endWithUs = () => void (running() && child.kill('SIGKILL'))
  process.on('exit', endWithUs)
  void exited.then(() => process.off('exit', endWithUs))
  return {
    pid: child.pid ?? -1,
    exited,
    tail: () => [...lines],
    async stop(graceMs) {
      if (running()) child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      const exit = await exited
      clearTimeout(timer)
      return exit
    },
    kill() {
      if (running()) child.kill('SIGKILL')
    },
  }
}

function readLines(child: ChildProcess, keep: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      for (const line of parts) keep(line)
    })
    stream.on('end', () => {
      if (rest !== '') keep(rest)
    })
  }
}

/** `exit code 70`, `SIGKILL`. */
export function describeExit(exit: Exit): string {
  return exit.signal ?? `exit code ${exit.code ?? 'unknown'}`
}
