/**
 * One slot of the fleet: a consumer process that is started again with back-off until it is drained or killed. Its states are those of
 * replicastates.ts. `Starting` starts a process; its end leads to `BackingOff`, or, after `drain` or `kill`, to `Stopped`, the end of `run`.
 */
import { randomUUID } from 'node:crypto'
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { ownerVariable } from '../consumer/identity.ts'
import { pause } from '../process/pause.ts'
import { formatIdentity } from '../redis/stream/identity.ts'
import { type Child, type Exit, startChild } from './child.ts'
import { endingOf } from './ending.ts'
import type { Guard } from './guard.ts'
import { type ReplicaEvent, type ReplicaState, transition } from './replicastates.ts'

export interface SlotOptions {
  /** This run, as the registry names the owner of its consumers. */
  readonly owner: string
  readonly command: string
  /** Folder for Node's compile cache. */
  readonly compileCache: string
  /** Arguments of the consumer named. */
  readonly args: (name: string) => readonly string[]
  /** How long a drain may take before the process is killed. */
  readonly graceMs: number
  /** Ends them if this process is killed. */
  readonly guard?: Guard
  /** Called with each line of a consumer's output, and its slot. */
  readonly onLine?: (name: string, line: string) => void
  /** Called with a line for each start, end and restart. */
  readonly onEvent: (line: string) => void
  /** Called for each process that ended without draining, before it is started again. */
  readonly onDeath: (dead: Dead) => void
  /** Called when the configuration cannot work: no restart helps. */
  readonly onFatal: (error: StreamPipelineError) => void
}

/** An ended process, as the registry knows it. */
export interface Dead {
  /** In the group. */
  readonly name: string
  readonly uid: string
}

export interface Slot {
  readonly number: number
  readonly name: string
  readonly uid: string
  readonly state: ReplicaState
  /** Runs processes one after another; resolves in state `Stopped`. */
  run(): Promise<void>
  /** The process takes entries. */
  markReady(): void
  /** Idempotent. */
  drain(): void
  kill(): void
}

/** @param consumer its name in the group */
export function createSlot(options: SlotOptions, number: number, name: string, consumer: string): Slot {
  const waking = new AbortController()
  let killed = false
  let uid = ''
  let child: Child | undefined
  let state: ReplicaState = { kind: 'Starting', since: performance.now(), crashes: 0 }
  /** Read anew each time: events change it while a caller waits. */
  const stateNow = (): ReplicaState => state

  const dispatch = (event: ReplicaEvent) => {
    state = transition(state, event, performance.now())
  }

  async function startProcess(): Promise<Child | undefined> {
    const identity = { owner: options.owner, life: randomUUID() }
    uid = formatIdentity(identity)
    // Compiled code is kept for the next start: compiling takes a second, and the process is needed now.
    const known = { POD_UID: identity.life, [ownerVariable]: identity.owner, NODE_COMPILE_CACHE: options.compileCache }
    try {
      return await startChild(options.command, options.args(consumer), {
        env: { ...process.env, ...known },
        tied: true,
        guard: options.guard,
        onLine: (line) => options.onLine?.(name, line),
      })
    } catch (thrown) {
      const detail = `a consumer process cannot be started: ${asFailure(thrown).message}`
      options.onFatal(failure('Internal', { detail }, thrown))
      return undefined
    }
  }

  async function runOnce(): Promise<Exit> {
    const started = await startProcess()
    if (started === undefined) return { code: null, signal: null }
    child = started
    options.onEvent(`consumer ${name} started (pid ${started.pid})`)
    // A drain may have been requested while the process was being created: it found no process then.
    if (killed) started.kill()
    else if (stateNow().kind === 'Draining') void started.stop(options.graceMs)
    return await started.exited
  }

  function report(exit: Exit, asked: boolean): void {
    const { line, refusal } = endingOf({ name, exit, killed, asked, graceMs: options.graceMs, tail: child?.tail() ?? [] })
    options.onEvent(line)
    if (refusal !== undefined) options.onFatal(failure('ConsumerRefused', { detail: refusal.message, advice: refusal.remedy }))
  }

  async function run(): Promise<void> {
    while (stateNow().kind !== 'Stopped') {
      const before = stateNow()
      if (before.kind === 'BackingOff') {
        // Stopping cuts the wait short. The state is Stopped then.
        await pause(Math.max(0, before.until - performance.now()), waking.signal)
        dispatch({ kind: 'Spawned' })
      }
      if (stateNow().kind !== 'Starting') continue
      const exit = await runOnce()
      const asked = stateNow().kind === 'Draining'
      dispatch({ kind: 'Exited', exit })
      report(exit, asked)
      if (exit.code !== 0) options.onDeath({ name: consumer, uid })
    }
  }

  return {
    number,
    name,
    get uid() {
      return uid
    },
    get state() {
      return state
    },
    run,
    markReady: () => dispatch({ kind: 'Ready' }),
    drain() {
      const running = state.kind === 'Starting' || state.kind === 'Running'
      dispatch({ kind: 'DrainRequested' })
      waking.abort()
      if (running && child !== undefined) void child.stop(options.graceMs)
    },
    kill() {
      killed = true
      dispatch({ kind: 'DrainRequested' })
      waking.abort()
      child?.kill()
    },
  }
}
