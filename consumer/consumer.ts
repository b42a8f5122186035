/**
 * The consumer, assembled: connections, states, and the loops that work while it lives.
 *
 * reading      waits until the state allows it and a slot is free, reads, settles in the slot.
 * reclaiming   a round at start, each `reclaim.interval` (jittered), and at once when nudged.
 * regaining    takes up what the server counts as ours and we do not hold: its reply was lost with a connection.
 * beating, listening   heartbeats with renewal, and the nudge (presence.ts).
 * recovering   while BackendDown (recovery.ts).
 * tidying      now and then: retention, and the sweep of failed jobs (housekeeping.ts).
 * watching     while Backpressured: asks the queue until there is room.
 *
 * Loops never throw: what Redis refuses becomes `BackendFailed`, what is left is a defect and ends the process (exit 70).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { asFailure, failure } from '../api/errors.ts'
import { pause } from '../process/pause.ts'
import { createSemaphore } from '../process/semaphore.ts'
import { close, open } from '../redis/connect/connection.ts'
import { replyCode } from '../redis/connect/replies.ts'
import { createSweeper, type Sweeper } from '../redis/deadletters/capture.ts'
import { createCodec } from '../redis/payload/codec.ts'
import { checkBackends } from '../redis/preflight/backends.ts'
import type { SettlePath } from '../redis/settle/path.ts'
import { ensureGroup } from '../redis/stream/group.ts'
import { type Delivery, handBackEntries } from '../redis/stream/pending.ts'
import { heartbeatIntervalMs, retireConsumer, retireVanished } from '../redis/stream/registry.ts'
import { backendFailure, guarded } from './defects.ts'
import { createHeldEntries } from './held.ts'
import { createRounds, keepHouse, mayRetain, type SweepReport, sweepOnce } from './housekeeping.ts'
import { createLifecycle, type Lifecycle } from './lifecycle.ts'
import { createNudges } from './nudges.ts'
import type { ConsumerParts } from './parts.ts'
import { createPresence } from './presence.ts'
import { createReader } from './reader.ts'
import { createReclaimer, type ReclaimReport } from './reclaimer.ts'
import { recovering } from './recovery.ts'
import { createSettler } from './settler.ts'
import { isReady, mayRead } from './states.ts'
import { createTally } from './tally.ts'

/** Longest back-off of a consumer that finds Redis again, and a heartbeat. */
const renewalMs = 10_000 + heartbeatIntervalMs

/** How often a resting consumer checks whether it has settled entries. */
const tidyingMs = 1_000

/** How long a round waits for its sweep. */
const sweepingMs = 300

/** How long a drain waits for the blocked read to end when asked to. */
const readEndMs = 2_000

export interface Consumer {
  readonly lifecycle: Lifecycle
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
  /** The batches in flight. */
  const slots = createSemaphore(pipeline.source.inFlightBatches)
  const tally = createTally()
  const reader = createReader(blocking, writer, pipeline.source, name)
  let path: SettlePath | undefined
  let sweeper: Sweeper | undefined
  const codec = createCodec(pipeline.payload)
  const chosenPath = () => {
    if (path === undefined) throw failure('Internal', { detail: 'an entry was settled before the forward path was chosen' })
    return path
  }
  const settler = createSettler({
    path: chosenPath,
    codec,
    held,
    lifecycle,
    clock,
    random,
    report(batch) {
      tally.batch(batch)
      observer.batchSettled(batch)
    },
  })
  const reportReclaim = (round: ReclaimReport) => {
    tally.reclaim(round)
    observer.reclaimed(round)
  }
  const reportTrimmed = (trimmed: number) => reportReclaim({ claimed: 0, trimmed, exhausted: [] })
  const reclaimer = createReclaimer({
    pipeline,
    place,
    consumer: name,
    connection: writer,
    held,
    lifecycle,
    slots,
    endRead: reader.wake,
    clock,
    settle: settler.settle,
    report: reportReclaim,
  })
  /** Aborted when the name is about to be given up: beating goes on until then, or a long drain would look like a death. */
  const leaving = new AbortController()
  const nudges = createNudges()
  const presence = createPresence({
    connection: writer,
    place,
    name,
    uid: parts.uid,
    minIdleMs: pipeline.reclaim.minIdleMs,
    lifecycle,
    held,
    tally,
    nudges,
    path: () => path?.kind ?? '',
    clock,
    heartbeatSent: observer.heartbeatSent,
    trimmed: reportTrimmed,
  })
  let loops: Promise<unknown> | undefined
  let beats: Promise<void> | undefined
  let groupSeen = false
  let stopping: Promise<void> | undefined

  const start = async () => {
    try {
      await open(writer)
      await open(blocking)
      if (queue !== writer) await open(queue)
      await checkBackends(pipeline, writer, queue)
      if (path === undefined) {
        const plan = await parts.choosePath()
        path = plan.path
        if (pipeline.deadLetter.failedJobs === 'Capture') {
          sweeper = createSweeper({ stream: writer, queue, codec, ...plan })
        }
        observer.pathChosen(plan.path.kind, plan.fallback, plan.add)
        plan.confirmation?.listen({ changed: observer.confirmationChanged, unconfirmed: observer.unconfirmed })
      }
      observer.groupMade(await ensureGroup(writer, place.keys, pipeline.source, groupSeen))
      groupSeen = true
      await presence.beat()
      // Its last answer may have come just before its connections were closed.
      if (draining()) throw failure('Internal', { detail: 'stopped while starting' })
    } catch (thrown) {
      const failure = asFailure(thrown)
      lifecycle.dispatch({ kind: 'StartFailed', failure })
      throw failure
    }
    lifecycle.dispatch({ kind: 'Started' })
    const recovered = reclaimer.recoverOwn()
    beats = presence.beating(leaving.signal).catch(parts.fault)
    loops = Promise.all([
      reading(recovered),
      reclaiming(recovered),
      regaining(recovered),
      presence.listening(),
      recovering(parts, lifecycle, presence),
      watching(),
      tidying(),
    ]).catch(parts.fault)
  }

  const rest = async (ms: number) => await pause(ms, lifecycle.draining)

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
      await take(free)
    }
  }

  /** Reads a batch and leaves it to be settled. */
  const take = async (free: () => void) => {
    const entries = await readOrReport()
    held.add(
      entries.map(({ id }) => id),
      clock(),
    )
    if (entries.length === 0) free()
    // Later in this turn: the next read goes out first, or it would queue behind this batch in Redis, and Redis would have nothing
    // to do while what it read is decoded.
    else setImmediate(() => void settler.settle(entries).then(free, parts.fault))
  }

  const readOrReport = async (): Promise<readonly Delivery[]> => {
    try {
      return await reader.read()
    } catch (thrown) {
      // While draining the connection may be cut under the read: nothing was delivered then.
      if (!draining()) lifecycle.backendFailed(backendFailure(thrown))
      return []
    }
  }

  const reclaiming = async (recovered: Promise<void>) => {
    await recovered
    let outages = 0
    // Those after which the others have had their time. One may begin within a round, or while they have it.
    let rested = 0
    // A nudge waits here until it can be followed.
    let nudged = false
    lifecycle.onChange(({ kind }) => {
      if (kind === 'BackendDown') outages += 1
    })
    // The first round comes at once: whom we replace may have handed back what he held.
    for (let jittered = 0; !draining(); jittered = pipeline.reclaim.intervalMs * (0.8 + 0.4 * random())) {
      nudged = (await nudges.next(nudged ? 0 : jittered, lifecycle.draining)) || nudged
      if (outages !== rested || !mayRead(lifecycle.state)) {
        await lifecycle.until((state) => mayRead(state) || draining())
        // During an outage nobody could renew what he holds. The others get the time to notice its end before their entries
        // are taken for abandoned, which would raise delivery counts by nothing but the outage.
        if (outages !== rested) {
          rested = outages
          await rest(renewalMs)
        }
        continue
      }
      await reclaimer.round(nudged)
      nudged = false
    }
  }

  const regaining = async (recovered: Promise<void>) => {
    await recovered
    while (!draining()) {
      await rest(heartbeatIntervalMs)
      if (!mayRead(lifecycle.state)) continue
      if (presence.missesEntries()) await reclaimer.regainLost()
      if (held.withheld > 0) await reclaimer.retryWithheld()
    }
  }

  const watching = async () => {
    for (;;) {
      const state = await lifecycle.until(({ kind }) => kind === 'Backpressured' || kind === 'Draining' || kind === 'Stopped')
      if (state.kind !== 'Backpressured') return
      await rest(1_000)
      if (!draining()) await settler.observeQueue()
    }
  }

  const settledSoFar = () => {
    const { forwarded, duplicates, dead } = tally.read()
    return forwarded + duplicates + dead
  }

  const tidying = async () => {
    const rounds = createRounds(pipeline, clock())
    let sweeping: Promise<SweepReport> | undefined
    // The first round comes at once: it reports at start what keeps a stream from being trimmed.
    let dueMs = clock()
    while (!draining()) {
      // Work ends a long rest. Each turn of this loop rests, also in an outage, or it would starve the rest of the process.
      const isRested = clock() >= dueMs || (rounds.waitMs > tidyingMs && rounds.hasSettled(settledSoFar()))
      if (!isRested || !mayRetain(lifecycle.state)) {
        const leftMs = dueMs - clock()
        await rest(leftMs > 0 ? Math.min(tidyingMs, leftMs) : tidyingMs)
        continue
      }
      await guarded(lifecycle, async () => {
        if (sweeper !== undefined && sweeping === undefined && isReady(lifecycle.state) && rounds.isSweepDue(clock())) {
          sweeping = sweepOnce(sweeper)
        }
        const retained = await keepHouse(pipeline, writer, place, undefined, lifecycle.draining)
        // A sweep of thousands of jobs takes longer than retention may wait. A later round then brings its report.
        const swept = sweeping && (await Promise.race([sweeping, sleep(sweepingMs, undefined, { ref: false })]))
        if (swept !== undefined) sweeping = undefined
        const report = { ...retained, ...swept }
        rounds.done(report, swept !== undefined, settledSoFar(), clock())
        observer.housekept(report)
        if (report.failure !== undefined) throw report.failure
        if (!rounds.isRetiringDue(clock())) return
        await retireVanished(writer, place)
        rounds.retired(clock())
      })
      const waitMs = rounds.jitteredMs(random())
      dueMs = clock() + waitMs
      await rest(Math.min(tidyingMs, waitMs))
    }
  }

  const drain = async (deadlineMs: number) => {
    const started = lifecycle.state.kind !== 'Starting'
    lifecycle.dispatch({ kind: 'DrainRequested', deadline: deadlineMs })
    let clean = true
    if (started) {
      const late = sleep(Math.max(0, deadlineMs - clock()), 'late' as const, { ref: false })
      // A read that Redis cannot be asked to end is cut off. What it may still deliver is handed back below, or reclaimed.
      const ended = Promise.race([reader.stop(), sleep(readEndMs, undefined, { ref: false }).then(failLate)])
      await ended.catch(async () => await close(blocking))
      clean = (await Promise.race([slots.idle(), late])) !== 'late'
      leaving.abort()
      await beats
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
      const entries = await handBackEntries(writer, place, name, pipeline.reclaim.minIdleMs, reportTrimmed)
      observer.handedBack(entries, await retireConsumer(writer, place, name), tally.read())
      return true
    } catch (thrown) {
      // No group, nothing to hand back.
      return replyCode(thrown) === 'NOGROUP'
    }
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

function failLate(): never {
  throw failure('Internal', { detail: 'the blocked read did not end in time' })
}
