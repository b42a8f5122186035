/**
 * The consumer, assembled: connections, states, and the loops that work while it lives.
 *
 * reading      waits until the state allows it and a slot is free, reads, settles in the slot.
 * reclaiming   a round each `reclaim.interval` (jittered), at once when nudged.
 * beating      a heartbeat every two seconds, which also renews what is held long and hears the nudge.
 * recovering   while BackendDown: waits out the back-off, asks Redis, and makes the group anew if it is gone.
 * watching     while Backpressured: asks the queue until there is room.
 *
 * Loops never throw: what Redis refuses becomes `BackendFailed`, what is left is a defect and ends the process (exit 70).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure, failure } from '../api/errors.ts'
import { close, open, type RedisConnection } from '../redis/connection.ts'
import type { Chosen } from '../redis/forward/choice.ts'
import type { PathKind, SettlePath } from '../redis/forward/settlepath.ts'
import { createCodec } from '../redis/payload/codec.ts'
import { replyCode } from '../redis/replies.ts'
import { ensureGroup, type GroupOutcome } from '../redis/stream/group.ts'
import { type Delivery, handBackEntries, renewEntries } from '../redis/stream/pending.ts'
import { heartbeatIntervalMs, retireConsumer, sendHeartbeat } from '../redis/stream/registry.ts'
import type { StreamPlace } from '../redis/stream/settlement.ts'
import { createHeldEntries } from './held.ts'
import { createLifecycle, type Lifecycle } from './lifecycle.ts'
import { checkBackends } from './preflight.ts'
import { createReader } from './reader.ts'
import { createReclaimer, type ReclaimReport } from './reclaimer.ts'
import { type BatchReport, createSettler } from './settler.ts'
import { createSlots } from './slots.ts'
import { backoffMs, type ConsumerState, mayRead } from './states.ts'
import { createTally } from './tally.ts'

export interface ConsumerParts {
  readonly pipeline: CompiledPipeline
  readonly place: StreamPlace
  /** Name in the group: the pod's or host's. */
  readonly name: string
  /** Which life of that name this is: the pod's uid, or cluster, host and process start. */
  readonly uid: string
  readonly connections: ConsumerConnections
  /** Chooses and proves the way of settling; asked at start, when the connections are open. */
  readonly choosePath: () => Promise<Chosen<SettlePath>>
  readonly observer: ConsumerObserver
  /** Told of a defect in our own code: the process must not go on in doubt. */
  readonly fault: (thrown: unknown) => void
  readonly clock: () => number
  readonly random: () => number
}

export interface ConsumerConnections {
  readonly blocking: RedisConnection
  readonly writer: RedisConnection
  /** The queue's; the same as `writer` unless the queue lives in another Redis. */
  readonly queue: RedisConnection
}

/** What the outside hears; metrics and logs hang on it. */
export interface ConsumerObserver {
  stateChanged(state: ConsumerState, previous: ConsumerState): void
  /** @param fallback why it is not the composed way */
  pathChosen(kind: PathKind, fallback: string | undefined): void
  groupMade(outcome: GroupOutcome): void
  batchSettled(report: BatchReport): void
  reclaimed(report: ReclaimReport): void
  heartbeatSent(atMs: number): void
  handedBack(entries: number, retired: boolean): void
}

export interface Consumer {
  readonly lifecycle: Lifecycle
  readonly inFlight: number
  /** One attempt at starting: connect, check, make the group. Throws why not; may be called again. Then the loops run. */
  start(): Promise<void>
  /** Drains until `deadline` and closes the connections. Idempotent; resolves when stopped. */
  stop(deadlineMs: number): Promise<void>
}

export function createConsumer(parts: ConsumerParts): Consumer {
  const { pipeline, place, name, connections, observer, clock, random } = parts
  const { writer, blocking, queue } = connections
  const lifecycle = createLifecycle(pipeline.sink.maxWaiting, clock)
  lifecycle.onChange(observer.stateChanged)
  const held = createHeldEntries()
  const slots = createSlots(pipeline.source.inFlightBatches)
  const tally = createTally()
  const reader = createReader(blocking, writer, pipeline.source, name)
  let path: SettlePath | undefined
  const chosenPath = () => {
    if (path === undefined) throw failure('Internal', { detail: 'an entry was settled before the forward path was chosen' })
    return path
  }
  const settler = createSettler({
    path: chosenPath,
    codec: createCodec(pipeline.payload),
    held,
    lifecycle,
    clock,
    random,
    report(batch) {
      tally.batch(batch)
      observer.batchSettled(batch)
    },
  })
  const reclaimer = createReclaimer({
    pipeline,
    place,
    consumer: name,
    connection: writer,
    held,
    lifecycle,
    slots,
    clock,
    settle: settler.settle,
    report(round) {
      tally.reclaim(round)
      observer.reclaimed(round)
    },
  })
  let nudge: string | undefined
  let nudged = Promise.withResolvers<void>()
  let loops: Promise<unknown> | undefined
  let stopping: Promise<void> | undefined

  const start = async () => {
    try {
      await open(writer)
      await open(blocking)
      if (queue !== writer) await open(queue)
      await checkBackends(pipeline, writer, queue)
      if (path === undefined) {
        const { chosen, fallback } = await parts.choosePath()
        path = chosen
        observer.pathChosen(chosen.kind, fallback)
      }
      observer.groupMade(await ensureGroup(writer, place.keys, pipeline.source))
      await beat()
    } catch (thrown) {
      const failure = asFailure(thrown)
      lifecycle.dispatch({ kind: 'StartFailed', failure })
      throw failure
    }
    lifecycle.dispatch({ kind: 'Started' })
    const recovered = reclaimer.recoverOwn()
    loops = Promise.all([reading(recovered), reclaiming(recovered), beating(), recovering(), watching()]).catch(parts.fault)
  }

  const pause = async (ms: number) => {
    await sleep(ms, undefined, { signal: lifecycle.draining }).catch(ignoreAbort)
  }

  const draining = () => lifecycle.draining.aborted

  const reading = async (recovered: Promise<void>) => {
    // Before the first read: until then every entry under our name is one from before.
    await recovered
    await settler.observeQueue()
    while (!draining()) {
      await lifecycle.until((state) => mayRead(state) || draining())
      const free = await slots.take(lifecycle.draining)
      if (free === undefined) return
      if (!mayRead(lifecycle.state)) {
        free()
        continue
      }
      const entries = await readOrReport()
      held.add(
        entries.map(({ id }) => id),
        clock(),
      )
      if (entries.length === 0) free()
      else void settler.settle(entries).then(free, parts.fault)
    }
  }

  const readOrReport = async (): Promise<readonly Delivery[]> => {
    try {
      return await reader.read()
    } catch (thrown) {
      // While draining the connection may be cut under the read: nothing was delivered then.
      if (!draining()) lifecycle.backendFailed(asFailure(thrown))
      return []
    }
  }

  const reclaiming = async (recovered: Promise<void>) => {
    await recovered
    while (!draining()) {
      const jittered = pipeline.reclaim.intervalMs * (0.8 + 0.4 * random())
      await Promise.race([pause(jittered), nudged.promise])
      await lifecycle.until((state) => mayRead(state) || draining())
      if (!draining()) await reclaimer.round()
    }
  }

  const beat = async () => {
    const reply = await sendHeartbeat(writer, place, name, {
      uid: parts.uid,
      state: lifecycle.state.kind,
      inFlight: held.size,
      path: path?.kind ?? '',
      ...tally.read(),
    })
    observer.heartbeatSent(reply.now)
    if (nudge !== undefined && reply.nudge !== nudge) {
      nudged.resolve()
      nudged = Promise.withResolvers()
    }
    nudge = reply.nudge
  }

  const beating = async () => {
    while (!draining()) {
      await pause(heartbeatIntervalMs)
      if (draining()) return
      if (lifecycle.state.kind === 'BackendDown') continue
      try {
        await beat()
        const old = held.due(pipeline.reclaim.minIdleMs / 3, clock())
        if (old.length > 0) await renewEntries(writer, place, name, old)
      } catch (thrown) {
        lifecycle.backendFailed(asFailure(thrown))
      }
    }
  }

  const recovering = async () => {
    for (;;) {
      const state = await lifecycle.until(({ kind }) => kind === 'BackendDown' || kind === 'Draining' || kind === 'Stopped')
      if (state.kind !== 'BackendDown') return
      await pause(backoffMs(state.strikes, random()))
      if (draining()) return
      try {
        await open(writer)
        if (queue !== writer) await open(queue)
        // A restored or flushed Redis has no group; anything else leaves it untouched.
        const outcome = await ensureGroup(writer, place.keys, pipeline.source)
        if (outcome.kind !== 'exists') observer.groupMade(outcome)
        lifecycle.dispatch({ kind: 'BackendAnswered' })
      } catch (thrown) {
        lifecycle.backendFailed(asFailure(thrown))
        await pause(backoffMs(state.strikes + 1, random()))
      }
    }
  }

  const watching = async () => {
    for (;;) {
      const state = await lifecycle.until(({ kind }) => kind === 'Backpressured' || kind === 'Draining' || kind === 'Stopped')
      if (state.kind !== 'Backpressured') return
      await pause(1_000)
      if (!draining()) await settler.observeQueue()
    }
  }

  const drain = async (deadlineMs: number) => {
    const started = lifecycle.state.kind !== 'Starting'
    lifecycle.dispatch({ kind: 'DrainRequested', deadline: deadlineMs })
    let clean = true
    if (started) {
      await reader.interrupt().catch(ignoreFailure)
      const late = sleep(Math.max(0, deadlineMs - clock()), 'late' as const, { ref: false })
      clean = (await Promise.race([slots.idle(), late])) !== 'late'
      clean = (await leave()) && clean
    }
    await path?.close()
    await Promise.all([...new Set([blocking, writer, queue])].map(close))
    lifecycle.dispatch({ kind: 'Drained', clean })
    if (started) await loops
  }

  /** Hands back what is left and takes the name out. Redis may be away: then the operator's reaping does it later. */
  const leave = async () => {
    try {
      const entries = await handBackEntries(writer, place, name, pipeline.reclaim.minIdleMs)
      observer.handedBack(entries, await retireConsumer(writer, place, name))
      return true
    } catch (thrown) {
      // No group, nothing to hand back.
      return replyCode(thrown) === 'NOGROUP'
    }
  }

  return {
    lifecycle,
    get inFlight() {
      return held.size
    },
    start,
    async stop(deadlineMs) {
      stopping ??= drain(deadlineMs)
      await stopping
    },
  }
}

/** `sleep` rejects when draining begins, which is all it is told to do. */
function ignoreAbort() {}

/** Unblocking only spares the wait until the block ends by itself. */
function ignoreFailure() {}
