/**
 * The consumer: its start and its stop. Between them these loops run, each in a file of its own under `loops/`:
 *
 *   reading      new entries, a batch for each free slot
 *   reclaiming   entries of consumers that died, hung or handed them back
 *   regaining    entries of this consumer whose reply was lost with a connection
 *   recovering   the way out of BackendDown
 *   watching     the queue's length while Backpressured
 *   tidying      retention, and the sweep of failed jobs
 *
 * Heartbeats and the nudge are presence.ts. Loops never throw a failure of Redis: it becomes `BackendFailed`. Anything else is a bug
 * and ends the process (exit 70).
 */
import { asFailure, failure } from '../api/errors.ts'
import { createSemaphore } from '../process/semaphore.ts'
import { close, open } from '../redis/connect/connection.ts'
import { createCodec } from '../redis/payload/codec.ts'
import { checkBackends } from '../redis/preflight/backends.ts'
import { ensureGroup } from '../redis/stream/group.ts'
import { depart } from './departure.ts'
import { createForwarding } from './forwarding.ts'
import { createHeldEntries } from './held.ts'
import { createLifecycle, type Lifecycle } from './lifecycle.ts'
import { reading } from './loops/reading.ts'
import { reclaiming } from './loops/reclaiming.ts'
import { recovering } from './loops/recovering.ts'
import { regaining } from './loops/regaining.ts'
import { tidying } from './loops/tidying.ts'
import { watching } from './loops/watching.ts'
import { createNudges } from './nudges.ts'
import { type ConsumerParts, createAnnouncer } from './parts.ts'
import { createPresence } from './presence.ts'
import { createReader } from './reader.ts'
import { createReclaimer, type ReclaimReport } from './reclaimer.ts'
import { createSettler } from './settler.ts'
import { createTally } from './tally.ts'

export interface Consumer {
  readonly lifecycle: Lifecycle
  /** One attempt at starting: connect, check, make the group. Throws why not; may be called again. Then the loops run. */
  start(): Promise<void>
  /** Drains until `deadline` and closes the connections. Idempotent; resolves when stopped. */
  stop(deadlineMs: number): Promise<void>
}

export function createConsumer(parts: ConsumerParts): Consumer {
  const { pipeline, place, connections, clock } = parts
  const { writer, blocking, queue } = connections
  const crew = assemble(parts)
  const { lifecycle, forwarding, presence, announce } = crew
  /** Aborted when the name is about to be given up. */
  const leaving = new AbortController()
  let groupSeen = false
  let running: { readonly loops: Promise<unknown>; readonly beats: Promise<void> } | undefined
  let stopping: Promise<void> | undefined

  async function prepare(): Promise<void> {
    await open(writer)
    await open(blocking)
    if (queue !== writer) await open(queue)
    await checkBackends(pipeline, writer, queue)
    await forwarding.choose()
    announce('groupMade', await ensureGroup(writer, place.keys, pipeline.source, groupSeen))
    groupSeen = true
    await presence.beat()
    // The last answer may have come just before the connections were closed.
    if (lifecycle.draining.aborted) throw failure('Internal', { detail: 'stopped while starting' })
  }

  async function start(): Promise<void> {
    try {
      await prepare()
    } catch (thrown) {
      const error = asFailure(thrown)
      lifecycle.dispatch({ kind: 'StartFailed', failure: error })
      throw error
    }
    lifecycle.dispatch({ kind: 'Started' })
    const beats = presence.beating(leaving.signal).catch(parts.crash)
    running = { beats, loops: runLoops(parts, crew).catch(parts.crash) }
  }

  async function drain(deadlineMs: number): Promise<void> {
    const isStarted = lifecycle.state.kind !== 'Starting'
    lifecycle.dispatch({ kind: 'DrainRequested', deadline: deadlineMs })
    const stopBeating = async () => {
      leaving.abort()
      await running?.beats
    }
    const { slots, reader, tally, trimmed } = crew
    const departure = { ...parts, clock, slots, stopReading: reader.stop, stopBeating, announce, totals: tally.read, trimmed }
    const clean = !isStarted || (await depart(departure, deadlineMs))
    await forwarding.close()
    await Promise.all([...new Set([blocking, writer, queue])].map(close))
    lifecycle.dispatch({ kind: 'Drained', clean })
    await running?.loops
  }

  return {
    lifecycle,
    start,
    async stop(deadlineMs) {
      stopping ??= drain(deadlineMs)
      await stopping
    },
  }
}

type Crew = ReturnType<typeof assemble>

/** Makes everything that the loops share. It sends nothing. */
function assemble(parts: ConsumerParts) {
  const { pipeline, place, name, clock, connections } = parts
  const { writer, blocking } = connections
  const announce = createAnnouncer(parts.observers)
  const lifecycle = createLifecycle(pipeline.sink.maxWaiting, clock.now)
  lifecycle.onChange((state, previous) => announce('stateChanged', state, previous))
  const held = createHeldEntries()
  const slots = createSemaphore(pipeline.source.inFlightBatches)
  const tally = createTally()
  const nudges = createNudges(clock.after)
  const reader = createReader(blocking, writer, pipeline.source, name)
  const codec = createCodec(pipeline.payload, pipeline.sink.allow)
  const forwarding = createForwarding(parts, codec, announce)
  const reclaimed = (round: ReclaimReport) => {
    tally.reclaim(round)
    announce('reclaimed', round)
  }
  const trimmed = (count: number) => reclaimed({ claimed: 0, trimmed: count, exhausted: [] })
  const settler = createSettler({
    ...{ path: forwarding.path, codec, held, lifecycle, clock },
    report(batch) {
      tally.batch(batch)
      announce('batchSettled', batch)
    },
  })
  const reclaimer = createReclaimer({
    ...{ pipeline, place, consumer: name, connection: writer, held, lifecycle, slots, clock },
    ...{ endRead: reader.wake, settle: settler.settle, report: reclaimed },
  })
  const presence = createPresence({
    ...{ connection: writer, place, name, uid: parts.uid, minIdleMs: pipeline.reclaim.minIdleMs },
    takesOptions: pipeline.sink.allow !== undefined,
    ...{ lifecycle, held, tally, nudges, path: forwarding.kind, clock, trimmed },
    heartbeatSent: (atMs) => announce('heartbeatSent', atMs),
  })
  return { announce, lifecycle, held, slots, tally, nudges, reader, forwarding, trimmed, settler, reclaimer, presence }
}

async function runLoops(parts: ConsumerParts, crew: Crew): Promise<void> {
  const { pipeline, place, connections, clock, crash } = parts
  const { lifecycle, held, slots, tally, nudges, reader, forwarding, settler, reclaimer, presence, announce } = crew
  const { settle, observeQueue } = settler
  const recovered = reclaimer.recoverOwn()
  const settled = () => {
    const { forwarded, duplicates, dead } = tally.read()
    return forwarded + duplicates + dead
  }
  await Promise.all([
    reading({ lifecycle, clock, held, slots, read: reader.read, settle, observeQueue, crash }, recovered),
    reclaiming({ lifecycle, clock, nudges, intervalMs: pipeline.reclaim.intervalMs, round: reclaimer.round }, recovered),
    regaining({ lifecycle, clock, held, presence, ...reclaimer }, recovered),
    presence.listening(),
    recovering({ pipeline, place, connections, lifecycle, clock, presence, groupMade: (made) => announce('groupMade', made) }),
    watching({ lifecycle, clock, observeQueue }),
    tidying({
      ...{ pipeline, connection: connections.writer, place, lifecycle, clock, sweeper: forwarding.sweeper(), settled },
      report: (report) => announce('maintained', report),
    }),
  ])
}
