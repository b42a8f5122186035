/**
 * Child processes of tests, the CLI above all: output captured, exit awaited, never outliving the test. A child leads its own
 * process group, so that what it started goes with it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { projectRoot } from './root.ts'
import type { Scope } from './scope.ts'
import { tethered } from './tether.ts'
import { eventually } from './wait.ts'

const sources = join(projectRoot, 'cli', 'main.ts')

/**
 * `npm test` bundles the command line once (test/run.ts). A test that runs alone takes the sources, and so does one that preloads a
 * module with `--import`: such a module changes others, which a bundle has inside.
 */
const commandLineFor = ({ env }: ProcessOptions = {}): string =>
  env?.['NODE_OPTIONS']?.includes('--import') ? sources : (process.env['STREAMPIPELINE_COMMAND_LINE'] ?? sources)

export interface ProcessOptions {
  /** The program; default: the Node that runs the test (a `node` from PATH may be too old). */
  command?: string
  cwd?: string
  /** Added to this process's environment; `undefined` takes a variable away. */
  env?: Record<string, string | undefined>
  /** Written to stdin, which is then closed. Without it stdin is empty. */
  input?: string
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface RunningProcess {
  readonly pid: number
  /** Settles when the process has ended and its output is complete. */
  readonly exit: Promise<Exit>
  /** Its output so far. */
  stdout(): string
  stderr(): string
  running(): boolean
  /** Resolves with the match once stdout and stderr together match; rejects when the process ends or time runs out before. */
  output(pattern: RegExp, patience?: { timeoutMs?: number }): Promise<RegExpMatchArray>
  /** Sends the signal to this process alone, not to its group. */
  signal(signal: NodeJS.Signals): void
  /** Sends the signal and awaits the end; SIGKILL to the whole group after `graceMs` (10000). */
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<Exit>
}

export const startProcess = async (
  scope: Scope,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<RunningProcess> => {
  const { command = process.execPath, cwd = projectRoot, env = {}, input } = options
  const child = spawn(...tethered(command, args), {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  const ended = new Promise<Exit>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
  scope.after(async () => {
    killGroup(child)
    if (child.pid !== undefined) await ended
  })
  const written = { stdout: '', stderr: '', all: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      written[stream] += text
      written.all += text
    })
  }
  // A child that ends before it has read its input breaks the pipe. Its exit code shows the cause.
  child.stdin?.on('error', () => undefined).end(input)
  await once(child, 'spawn')
  const running = (): boolean => child.exitCode === null && child.signalCode === null
  const signal = (name: NodeJS.Signals): void => void child.kill(name)
  return {
    pid: child.pid ?? -1,
    exit: ended,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    running,
    output: async (pattern, { timeoutMs = 60_000 } = {}) => {
      const matched = await eventually(() => written.all.match(pattern) ?? (running() ? null : ('Ended' as const)), {
        timeoutMs,
      }).catch((cause: unknown) => {
        throw new Error(`no output matched ${pattern} within ${timeoutMs} ms; so far:\n${written.all}`, { cause })
      })
      if (matched !== 'Ended') return matched
      const exit = await ended
      const last = written.all.match(pattern)
      if (last) return last
      throw new Error(`the process ended (${exit.code ?? exit.signal}) before any output matched ${pattern}:\n${written.all}`)
    },
    signal,
    stop: async (name = 'SIGTERM', graceMs = 10_000) => {
      if (running()) signal(name)
      const grace = setTimeout(() => killGroup(child), graceMs)
      const exit = await ended
      clearTimeout(grace)
      return exit
    },
  }
}

export interface Completed extends Exit {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a process to its end. After `timeoutMs` (60000) it kills the process, and throws with its output. */
export const run = async (
  scope: Scope,
  args: readonly string[],
  options: ProcessOptions & { timeoutMs?: number } = {},
): Promise<Completed> => {
  const { timeoutMs = 60_000, ...rest } = options
  const child = await startProcess(scope, args, rest)
  let late = false
  const timer = setTimeout(() => {
    late = true
    void child.stop('SIGKILL', 0)
  }, timeoutMs)
  const exit = await child.exit
  clearTimeout(timer)
  if (late) throw new Error(`${args.join(' ')} took longer than ${timeoutMs} ms:\n${child.stdout()}${child.stderr()}`)
  return { ...exit, stdout: child.stdout(), stderr: child.stderr() }
}

/** The same two for the project's own command line: `startCli(t, ['consume', …])`, `runCli(t, ['validate', …])`. */
export const startCli = (scope: Scope, args: readonly string[], options?: ProcessOptions): Promise<RunningProcess> =>
  startProcess(scope, [commandLineFor(options), ...args], options)

export const runCli = (
  scope: Scope,
  args: readonly string[],
  options?: ProcessOptions & { timeoutMs?: number },
): Promise<Completed> => run(scope, [commandLineFor(options), ...args], options)

const killGroup = (child: ChildProcess): void => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (thrown) {
    // ESRCH: all of the group has ended already, which is what is wanted.
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}
