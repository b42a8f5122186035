/**
 * The consumer processes of one pipeline: started, restarted with back-off, and drained newest first when the wanted number
 * falls.
 *
 * A name is a slot (`ndvi-1`, `ndvi-2`, …), and a restarted process keeps it. In the group the name also has the run's tag
 * (`ndvi-1-4f0c2a`). Another run has slots of the same numbers, and two processes of one name would renew and settle each other's
 * entries.
 */
import { randomUUID } from 'node:crypto'
import { formatAge } from '../api/duration.ts'
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { ownerVariable } from '../consumer/identity.ts'
import { pause } from '../process/pause.ts'
import { formatIdentity } from '../redis/stream/identity.ts'
import { type Child, describeExit, type Exit, startChild } from './child.ts'
import type { Guard } from './guard.ts'
import { type ReplicaEvent, type ReplicaState, transition } from './replicastates.ts'

interface FleetOptions {
  /** Pipeline's name: slots become `<name>-<number>`. */
  readonly name: string
  /** Distinguishes names of this run in the group; absent where no other run is possible. */
  readonly tag?: string
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

export interface Replica {
  readonly name: string
  readonly uid: string
  readonly state: ReplicaState
}

export interface Fleet {
  /** Those not stopped, oldest first. */
  replicas(): readonly Replica[]
  /** Starts or drains so that `wanted` processes run; draining ones don't count. */
  scaleTo(wanted: number): void
  /** The process with this uid takes entries. */
  markReady(uid: string): void
  /** Drains all; resolves when every process has ended. Idempotent. */
  stop(): Promise<void>
  /** Kills all at once, and starts none again. */
  kill(): void
}

interface Slot {
  readonly number: number
  readonly name: string
  /** In the group. */
  readonly consumer: string
  uid: string
  state: ReplicaState
  child: Child | undefined
  readonly supervised: Promise<void>
}

/** Read anew each time: events change it while a caller waits. */
const stateOf = (slot: Slot): ReplicaState => slot.state

/** EX_USAGE: the consumer refused its configuration. */
const badConfiguration = 64

export function createFleet(options: FleetOptions): Fleet {
  const { onEvent } = options
  const slots = new Set<Slot>()
  const waking = new AbortController()
  let killed = false

  const dispatch = (slot: Slot, event: ReplicaEvent) => {
    slot.state = transition(slot.state, event, performance.now())
  }

  async function superviseSlot(slot: Slot): Promise<void> {
    while (stateOf(slot).kind !== 'Stopped') {
      const state = stateOf(slot)
      if (state.kind === 'BackingOff') await backOff(slot, state.until)
      if (stateOf(slot).kind !== 'Starting') continue
      const exit = await runOnce(slot)
      const asked = stateOf(slot).kind === 'Draining'
      dispatch(slot, { kind: 'Exited', exit })
      tell(slot, exit, asked)
      if (exit.code !== 0) options.onDeath({ name: slot.consumer, uid: slot.uid })
    }
    slots.delete(slot)
  }

  async function backOff(slot: Slot, until: number): Promise<void> {
    // Stopping cuts the wait short. The state is Stopped then.
    await pause(Math.max(0, until - performance.now()), waking.signal)
    dispatch(slot, { kind: 'Spawned' })
  }

  async function runOnce(slot: Slot): Promise<Exit> {
    const identity = { owner: options.owner, life: randomUUID() }
    slot.uid = formatIdentity(identity)
    try {
      // Compiled code is kept for the next start: compiling takes a second, and the process is needed now.
      const known = { POD_UID: identity.life, [ownerVariable]: identity.owner, NODE_COMPILE_CACHE: options.compileCache }
      const env = { ...process.env, ...known }
      slot.child = await startChild(options.command, options.args(slot.consumer), {
        env,
        tied: true,
        guard: options.guard,
        onLine: (line) => options.onLine?.(slot.name, line),
      })
    } catch (thrown) {
      options.onFatal(
        failure('Internal', { detail: `a consumer process cannot be started: ${asFailure(thrown).message}` }, thrown),
      )
      return { code: null, signal: null }
    }
    onEvent(`consumer ${slot.name} started (pid ${slot.child.pid})`)
    // A drain may have been requested while the process was being created: it found no process then.
    if (killed) slot.child.kill()
    else if (stateOf(slot).kind === 'Draining') void slot.child.stop(options.graceMs)
    return await slot.child.exited
  }

  function tell(slot: Slot, exit: Exit, asked: boolean): void {
    const { message, remedy } = told(lastWords(slot.child?.tail() ?? [], exit))
    const said = message === '' ? '' : `: ${message}`
    if (killed) onEvent(`consumer ${slot.name} was killed, as requested`)
    else if (asked && exit.code === 0) onEvent(`consumer ${slot.name} drained`)
    // A process that does not listen for signals yet has nothing to drain.
    else if (asked && exit.signal === 'SIGTERM') onEvent(`consumer ${slot.name} stopped while starting`)
    else if (asked && exit.signal === 'SIGKILL')
      onEvent(`consumer ${slot.name} was killed: it had not drained within ${formatAge(options.graceMs)}`)
    else onEvent(`consumer ${slot.name} ended (${describeExit(exit)})${asked ? '' : '; starting it again'}${said}`)
    if (!asked && exit.code === badConfiguration) {
      options.onFatal(failure('ConsumerRefused', { detail: message, advice: remedy }))
    }
  }

  function start(): void {
    const taken = new Set([...slots].map((slot) => slot.number))
    let number = 1
    while (taken.has(number)) number++
    let begin = () => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const slot: Slot = {
      number,
      name: `${options.name}-${number}`,
      consumer: [options.name, number, ...(options.tag === undefined ? [] : [options.tag])].join('-'),
      uid: '',
      state: { kind: 'Starting', since: performance.now(), crashes: 0 },
      child: undefined,
      supervised: begun.then(() => superviseSlot(slot)),
    }
    slots.add(slot)
    begin()
  }

  function drain(slot: Slot): void {
    const { child } = slot
    const running = slot.state.kind === 'Starting' || slot.state.kind === 'Running'
    dispatch(slot, { kind: 'DrainRequested' })
    if (running && child !== undefined) void child.stop(options.graceMs)
  }

  const wantedNow = () => [...slots].filter((slot) => slot.state.kind !== 'Draining' && slot.state.kind !== 'Stopped')

  return {
    replicas: () => [...slots].map(({ name, uid, state }) => ({ name, uid, state })),
    scaleTo(wanted) {
      const present = wantedNow()
      for (let i = present.length; i < wanted; i++) start()
      for (const slot of victims(present, present.length - wanted)) drain(slot)
    },
    markReady(uid) {
      for (const slot of slots) if (slot.uid === uid) dispatch(slot, { kind: 'Ready' })
    },
    async stop() {
      waking.abort()
      for (const slot of wantedNow()) drain(slot)
      await Promise.all([...slots].map((slot) => slot.supervised))
    },
    kill() {
      killed = true
      waking.abort()
      for (const slot of wantedNow()) dispatch(slot, { kind: 'DrainRequested' })
      for (const slot of slots) slot.child?.kill()
    },
  }
}

/** Newest first. One that is backing off goes last: its entries are in its pending list, which it reads after its restart. */
function victims(present: readonly Slot[], count: number): readonly Slot[] {
  if (count <= 0) return []
  const order = present
    .toReversed()
    .toSorted((a, b) => Number(a.state.kind === 'BackingOff') - Number(b.state.kind === 'BackingOff'))
  return order.slice(0, count)
}

/** Signals of others. The process that gets one has logged nothing about it. */
const sent: ReadonlySet<string> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'])

/**
 * The line with the cause, of a process that ended by itself. Lines about its draining follow it. After a fault of memory or of
 * Node, Node itself writes the cause, which is no JSON.
 */
function lastWords(lines: readonly string[], exit: Exit): string {
  if (exit.signal === null) return lines.findLast((line) => !line.startsWith('{"level":"info"')) ?? lines.at(-1) ?? ''
  return sent.has(exit.signal) ? '' : (lines.findLast((line) => !line.startsWith('{')) ?? '')
}

/** Message and remedy of a line of output. The log of a consumer is JSON, a line of Node itself is not. */
function told(line: string): { message: string; remedy: string } {
  const plain = { message: line, remedy: 'read the line above' }
  if (!line.startsWith('{')) return plain
  try {
    const entry: Partial<Record<string, unknown>> = JSON.parse(line)
    return { message: String(entry['msg'] ?? line), remedy: String(entry['remedy'] ?? plain.remedy) }
  } catch {
    return plain // cut short: shown as it is
  }
}
