/** A server program of a test. It is started and awaited, stopped, killed and restarted. Error messages quote its log. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { tethered } from './tether.ts'

export interface DaemonSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Record<string, string>
  /** Polled after the start, until true. `log` is the output since this start. An exception counts as false. */
  ready(log: string): boolean | Promise<boolean>
  /** Longest time of a start, ms; default 30000. */
  readonly timeoutMs?: number
}

export interface Daemon {
  readonly name: string
  /** Of the current or last process; it changes with each start. */
  readonly pid: number
  readonly running: boolean
  /** The end of the output of the current or last process. */
  log(): string
  /** Resolves when it is ready; does nothing when it runs already. */
  start(): Promise<void>
  /** SIGTERM (or the signal given), awaited; SIGKILL after 10 s. Does nothing when it does not run. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Sends a signal. Resolves at once for those that a process survives (SIGSTOP, SIGCONT, SIGUSR1 …), else when it has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>
}

/** The program ended before it was ready, as when another one took its port; `log` says why. */
export class StartFailed extends Error {
  override readonly name = 'StartFailed'
}

const keptLogLength = 64 * 1024
const endsProcess: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGABRT'])

export const createDaemon = (spec: DaemonSpec): Daemon => {
  let child: ChildProcess | undefined
  let ended: Promise<unknown> = Promise.resolve()
  let log = ''
  const running = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null
  const keep = (text: string): void => {
    log = (log + text).slice(-keptLogLength)
  }

  const start = async (): Promise<void> => {
    if (running()) return
    log = ''
    const started = spawn(...tethered(spec.command, spec.args), {
      env: { ...process.env, ...spec.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    ended = new Promise((resolve) => started.once('close', resolve))
    started.stdout.setEncoding('utf8').on('data', keep)
    started.stderr.setEncoding('utf8').on('data', keep)
    await once(started, 'spawn')
    const deadline = performance.now() + (spec.timeoutMs ?? 30_000)
    while (!(await isReady(spec, log))) {
      if (!running()) {
        await ended
        throw new StartFailed(`${spec.name} ended (${started.exitCode ?? started.signalCode}) before it was ready:\n${log}`)
      }
      if (performance.now() > deadline) {
        await kill('SIGKILL')
        throw new Error(`${spec.name} was not ready within ${spec.timeoutMs ?? 30_000} ms:\n${log}`)
      }
      await delay(15)
    }
    // Ready, but is it this process that answers? One that could not bind its port has ended by now.
    if (!running()) throw new StartFailed(`${spec.name} ended while something else answered in its place:\n${log}`)
  }

  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (!running()) return
    child?.kill(signal)
    if (endsProcess.has(signal)) await ended
  }

  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    const grace = setTimeout(() => child?.kill('SIGKILL'), 10_000)
    await kill(signal)
    clearTimeout(grace)
  }

  return {
    name: spec.name,
    get pid() {
      return child?.pid ?? -1
    },
    get running() {
      return running()
    },
    log: () => log,
    start,
    stop,
    kill,
  }
}

const isReady = async (spec: DaemonSpec, log: string): Promise<boolean> => {
  try {
    return await spec.ready(log)
  } catch {
    // A server that still starts refuses connections.
    return false
  }
}
