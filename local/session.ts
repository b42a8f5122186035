/**
 * A run from its first turn to its account.
 *
 * Running    until a signal, or the time of `--for`.
 * Draining   a demo stops producing, and everything added is finished. Then the consumers drain: each finishes or hands back its
 * entries.
 *
 * A second signal ends all at once.
 */
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure } from '../api/errors.ts'
import { pause } from '../process/pause.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { scopeOf } from '../redis/keys.ts'
import { streamPlace } from '../redis/placement.ts'
import { type Account, readAccount } from '../redis/stream/account.ts'
import { closeBook, type Reckoning, reckon } from './book.ts'
import { type Control, tickMs } from './control.ts'
import type { Demo } from './demo/demo.ts'
import { outcomesOf } from './demo/outcomes.ts'
import type { FileWatch } from './filewatch.ts'
import type { Fleet } from './fleet.ts'
import { type RunDeadLetters, unfinishedJobs, unsettledEntries } from './leftovers.ts'
import type { Reaper } from './reaping.ts'
import type { Screen } from './screen.ts'
import type { Stopping } from './stopping.ts'
import { movedOf, remarksOf, type Summary } from './summary.ts'
import type { Phase } from './view.ts'

interface Session {
  readonly pipeline: CompiledPipeline
  readonly redis: RedisConnection
  readonly queue: RedisConnection
  readonly redisLabel: string
  /** Redis lives and dies with the run. */
  readonly private: boolean
  readonly fleet: Fleet
  readonly control: Control
  readonly reaper: Reaper
  readonly demo: Demo | undefined
  readonly screen: Screen
  readonly stopping: Stopping
  readonly deadLetters: RunDeadLetters
  readonly file: FileWatch
  /** Milliseconds after which it drains by itself. */
  readonly forMs: number | undefined
  /** Aborted with an error as its reason, where no restart helps. */
  readonly fatal: AbortSignal
  readonly startedAt: number
}

/** Undefined after a second signal. Throws the session's fatal error. */
export async function conduct(session: Session): Promise<Summary | undefined> {
  const { stopping, startedAt, forMs } = session
  // A demo produces for the time given. The time until it begins does not count.
  const timedFrom = () => (session.demo === undefined ? startedAt : session.demo.producingSince)
  const timeIsOver = () => forMs !== undefined && performance.now() - (timedFrom() ?? performance.now()) >= forMs
  while (!stopping.drain.aborted && !timeIsOver()) await turn(session, { kind: 'Running' }, stopping.drain)
  const finished = session.demo === undefined ? undefined : await finishDemo(session, session.demo)
  if (!stopping.force.aborted) await session.control.look()
  await drainFleet(session)
  if (stopping.force.aborted) return undefined
  const reckoning = reckon(closeBook(session.control.book, await lastAccount(session)))
  if (stopping.force.aborted) return undefined
  return finished === undefined ? movedSummary(session, reckoning) : finished(reckoning)
}

/** One turn of the loop, and the pause after it, which `until` cuts short. Throws the session's fatal error. */
async function turn(session: Session, phase: Phase, until: AbortSignal): Promise<void> {
  const { control, reaper, pipeline, fatal, file, screen } = session
  const began = performance.now()
  await control.turn()
  await reaper.turn()
  if (await file.hasChanged()) {
    screen.event(
      `${file.path} has changed; this run goes on with the old text: to use the new one, end it with Ctrl-C and start it again`,
    )
  }
  show(session, phase)
  const rest = tickMs(pipeline.scaling.targetAgeMs) - (performance.now() - began)
  await pause(Math.max(0, rest), AbortSignal.any([until, fatal]))
  fatal.throwIfAborted()
}

function show({ pipeline, redisLabel, startedAt, control, fleet, demo, screen }: Session, phase: Phase): void {
  const { sample, decision, book, others } = control
  screen.show({
    name: pipeline.name,
    redis: redisLabel,
    elapsedMs: performance.now() - startedAt,
    phase,
    targetAgeMs: pipeline.scaling.targetAgeMs,
    replicas: fleet.replicas(),
    totals: reckon(book),
    others,
    ...(sample === undefined ? {} : { sample }),
    ...(decision === undefined ? {} : { decision }),
    ...(demo === undefined ? {} : { demo: demo.counts() }),
  })
}

/** Without progress for this long, the rest will not be finished. */
const stuckAfterMs = 60_000

/**
 * Stops the input, and goes on until everything that was added is settled and run. @returns the data of its account; undefined
 * after a second signal
 */
async function finishDemo(session: Session, demo: Demo): Promise<((reckoning: Reckoning) => Summary) | undefined> {
  const { stopping, control, pipeline, deadLetters, screen } = session
  const producing = demo.finishProducing()
  const draining: Phase = { kind: 'Draining' }
  let produced: Awaited<typeof producing> | undefined
  producing.then(
    (message) => {
      produced = message
    },
    () => {},
  )
  let least = Number.POSITIVE_INFINITY
  let progressAt = performance.now()
  while (!stopping.force.aborted) {
    await turn(session, draining, stopping.force)
    const left = await leftToDo(session)
    if (produced !== undefined && left === 0) break
    if (left !== undefined && left < least) [least, progressAt] = [left, performance.now()]
    if (produced !== undefined && performance.now() - progressAt > stuckAfterMs) {
      screen.event(`nothing moved for ${stuckAfterMs / 1000}s; ${least} entries or jobs are left unfinished`)
      break
    }
  }
  if (stopping.force.aborted) return undefined
  const [{ keys }, { executions, skipped }] = await Promise.all([producing, demo.finishWorking()])
  const deadKeys = await deadLetters.keys()
  const scope = scopeOf(pipeline.source.stream, pipeline.source.group)
  return (reckoning) => ({
    kind: 'Demo',
    outcomes: outcomesOf({
      ...{ scope, keys, executions, skipped, deadKeys },
      entries: reckoning.entries,
      maxReplicas: control.maxReplicas,
    }),
    remarks: remarksOf(reckoning, control.othersSeen),
    deadLettersGo: session.private,
  })
}

/** Undefined while Redis cannot be asked. */
async function leftToDo({ control, queue, pipeline }: Session): Promise<number | undefined> {
  const { sample } = control
  if (sample === undefined) return undefined
  try {
    return unsettledEntries(sample) + (await unfinishedJobs(queue, pipeline, sample))
  } catch (thrown) {
    const error = asFailure(thrown)
    if (error.retryable) return undefined
    throw error
  }
}

/** Every consumer finishes or hands back its entries. A second signal does not wait for that. */
async function drainFleet({ fleet, stopping }: Session): Promise<void> {
  const force = () => fleet.kill()
  stopping.force.addEventListener('abort', force, { once: true })
  if (stopping.force.aborted) force()
  await fleet.stop()
  stopping.force.removeEventListener('abort', force)
}

/** How long the account waits for a Redis that is away. A private one is being started again. */
const accountWithinMs = 15_000
const askAgainMs = 250

/** Throws why Redis cannot be asked. */
async function lastAccount({ redis, pipeline, stopping, screen }: Session): Promise<Account> {
  const deadline = performance.now() + accountWithinMs
  for (let isReported = false; ; isReported = true) {
    try {
      return await readAccount(redis, streamPlace(pipeline))
    } catch (thrown) {
      const error = asFailure(thrown)
      if (!error.retryable || stopping.force.aborted || performance.now() > deadline) throw error
      if (!isReported) screen.event(`the account waits for Redis: ${error.message}`)
      await pause(askAgainMs, stopping.force)
    }
  }
}

function movedSummary({ control }: Session, reckoning: Reckoning): Summary {
  return { kind: 'Moved', moved: movedOf(reckoning, control.maxReplicas, control.othersSeen) }
}
