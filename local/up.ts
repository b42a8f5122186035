/**
 * `streampipeline up`: one pipeline on this machine. Consumers are child processes, scaled by the same `observe` and `decide` as
 * on a cluster; Redis is the resource's, or a private one that lives and dies with the run.
 *
 * A run goes through two phases. Running: until a signal or the time given. Draining: a demo stops producing and everything
 * added is finished; then the consumers drain, each finishing or handing back what it holds. A second signal ends all at once.
 */
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure, errorText } from '../api/errors.ts'
import { exitCodeOf, exitCodes } from '../api/exitcodes.ts'
import { printableLines } from '../api/printable.ts'
import { shellWord } from '../api/quoting.ts'
import { pause } from '../process/pause.ts'
import { close, connect, open, type RedisConnection } from '../redis/connect/connection.ts'
import { directoryReader, resolveTarget } from '../redis/connect/references.ts'
import { scopeOf } from '../redis/keys.ts'
import { localOwner } from '../redis/stream/identity.ts'
import { openDecisionLog } from '../scaling/decisionlog.ts'
import { observe } from '../scaling/observe.ts'
import type { Sample } from '../scaling/sample.ts'
import { type Control, createControl, tickMs } from './control.ts'
import { type Demo, startDemo } from './demo/demo.ts'
import { ledgerOf } from './demo/ledger.ts'
import { createFleet, type Fleet } from './fleet.ts'
import { deadLetterKeys, lastDeadLetter, unfinishedJobs, unsettledEntries } from './leftovers.ts'
import { createReaper, type Reaper } from './reaping.ts'
import { startPrivateRedis } from './redisserver.ts'
import { loadResource, privateRedisSpec, writePrivateReference, writeResource } from './resource.ts'
import { createScreen, type Screen } from './screen.ts'
import { listenForSignals, type Stopping } from './stopping.ts'
import { isSound, type Summary, summaryJson, summaryText } from './summary.ts'
import type { Phase } from './view.ts'

interface UpOptions {
  /** The resource's file. */
  readonly file: string
  /** Which pipeline, where the file holds several. */
  readonly name?: string | undefined
  /** `private`: start a redis-server for this run, instead of what the resource names. */
  readonly redis?: 'private' | undefined
  /** Add a load and run the jobs. */
  readonly demo?: boolean | undefined
  /** Milliseconds after which the run drains by itself. */
  readonly for?: number | undefined
  /** Default `table`. `json`: one object on standard output at the end, progress on standard error. */
  readonly output?: 'table' | 'json' | undefined
  /** Folder with the Secrets and ConfigMaps that the resource refers to: `DIR/secret/NAME/KEY`. */
  readonly refs?: string | undefined
  /** A file for every scaling decision, which `simulate --replay` reads. */
  readonly decisionLog?: string | undefined
}

/** A second signal ended it: the shell's code for SIGINT. */
const forcedExit = 130

/**
 * Runs until a signal or the time given, drains, prints a summary. Failures are told on standard error.
 * @returns the exit code: 0 done, 64 the file or an option cannot be used, 69 no Redis, 70 a fault of our own or a demo that
 * lost or repeated something, 130 ended by a second signal
 */
export async function runUp(options: UpOptions): Promise<number> {
  const screen = createScreen(options.output === 'json' ? process.stderr : process.stdout)
  const stopping = listenForSignals((count) => screen.event(count === 1 ? 'draining' : 'stopping at once'))
  const closers: (() => Promise<void>)[] = []
  try {
    return await run(options, screen, stopping, (closer) => closers.push(closer))
  } catch (thrown) {
    const error = asFailure(thrown)
    screen.finish()
    process.stderr.write(`${printableLines(errorText(error))}\n`)
    return exitCodeOf(error)
  } finally {
    for (const closer of closers.toReversed()) await closer()
    stopping.release()
  }
}

type OnClose = (closer: () => Promise<void>) => void

async function run(options: UpOptions, screen: Screen, stopping: Stopping, onClose: OnClose): Promise<number> {
  // Read first: nothing is installed or started for a file that cannot be used.
  const given = await loadResource(options.file, options.name)
  const log = options.decisionLog === undefined ? undefined : openDecisionLog(options.decisionLog)
  if (log !== undefined) onClose(async () => log.close())
  const privateRedis = options.redis === 'private' ? await startPrivateRedis({ progress: screen.event }) : undefined
  if (privateRedis !== undefined) {
    onClose(() => privateRedis.stop())
    screen.event(`private Redis at ${privateRedis.url} (pid ${privateRedis.pid})`)
    screen.event(`redis-cli -s ${shellWord(privateRedis.socket)} opens it, for this user alone`)
  }
  const local = privateRedis === undefined ? given : await loadResource(options.file, options.name, privateRedisSpec)
  const { pipeline } = local
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-up-'))
  onClose(() => rm(folder, { recursive: true, force: true }))
  const file = await writeResource(local.resource, folder)

  // Everything lives in the private Redis, so nothing else is referred to.
  const refs = privateRedis === undefined ? options.refs : await writePrivateReference(privateRedis.url, folder)
  const read = directoryReader(refs)
  const address = await resolveTarget(pipeline.redis, read)
  const redis = await openObserver(connect(address, 'Observer'), onClose)
  const elsewhere = pipeline.sink.redis
  const queue =
    elsewhere === undefined ? redis : await openObserver(connect(await resolveTarget(elsewhere, read), 'Observer'), onClose)

  const fault = new AbortController()
  const owner = localOwner({ host: hostname(), pid: process.pid, startedAt: performance.timeOrigin })
  const reaper = createReaper({ pipeline, redis, onEvent: screen.event })
  onClose(() => reaper.turn())
  const fleet = createFleet({
    name: pipeline.name,
    owner,
    command: process.execPath,
    compileCache: join(folder, 'compiled'),
    args: (name) => consumerArguments(file, name, refs),
    graceMs: pipeline.terminationGracePeriodMs,
    onEvent: screen.event,
    onDeath: reaper.died,
    onFatal: (error) => fault.abort(error),
  })
  onClose(async () => {
    fleet.kill()
    await fleet.stop()
  })
  const control = createControl({
    pipeline,
    redis,
    queue,
    fleet,
    uidPrefix: `${owner}/`,
    onEvent: screen.event,
    onDecision: log?.write,
  })
  const before = await takeStock(redis, pipeline, queue)
  const demo = options.demo ? startDemo({ file, refs, seed: randomInt(2 ** 31) }, (error) => fault.abort(error)) : undefined
  if (demo !== undefined) onClose(() => demo.close())

  const session: Session = {
    options,
    pipeline,
    redis,
    queue,
    fleet,
    control,
    reaper,
    demo,
    screen,
    stopping,
    before,
    fault: fault.signal,
    startedAt: performance.now(),
    redisLabel: address.label,
  }
  return await conduct(session)
}

async function openObserver(connection: RedisConnection, onClose: OnClose): Promise<RedisConnection> {
  onClose(() => close(connection))
  await open(connection)
  return connection
}

function consumerArguments(file: string, name: string, refs: string | undefined): string[] {
  // The sources run as .ts, the published package as .js: the command line has the extension of this file.
  const cli = fileURLToPath(new URL(`../cli/main${extname(import.meta.url)}`, import.meta.url))
  const given = refs === undefined ? [] : ['--refs', refs]
  return [cli, 'consume', '--config', file, '--name', name, '--listen', '127.0.0.1:0', ...given]
}

/** What was there before the run, so that only its own doing is counted. */
interface Stock {
  readonly sample: Sample
  readonly lastDeadLetter: string
}

async function takeStock(redis: RedisConnection, pipeline: CompiledPipeline, queue: RedisConnection): Promise<Stock> {
  const sample = await observe(redis, pipeline, queue)
  return { sample, lastDeadLetter: await lastDeadLetter(redis, pipeline.deadLetter.stream) }
}

interface Session {
  readonly options: UpOptions
  readonly pipeline: CompiledPipeline
  readonly redis: RedisConnection
  readonly queue: RedisConnection
  readonly redisLabel: string
  readonly fleet: Fleet
  readonly control: Control
  readonly reaper: Reaper
  readonly demo: Demo | undefined
  readonly screen: Screen
  readonly stopping: Stopping
  readonly before: Stock
  /** Aborted, with the error as its reason, by what no restart helps against. */
  readonly fault: AbortSignal
  readonly startedAt: number
}

async function conduct(session: Session): Promise<number> {
  const { options, stopping, screen, startedAt } = session
  // A demo produces for the time given; how long it takes to begin is not the load's affair.
  const timedFrom = () => (session.demo === undefined ? startedAt : session.demo.producingSince)
  const timeIsOver = () => options.for !== undefined && performance.now() - (timedFrom() ?? performance.now()) >= options.for
  while (!stopping.drain.aborted && !timeIsOver()) await turn(session, { kind: 'Running' }, stopping.drain)
  const finished = session.demo === undefined ? undefined : await finishDemo(session, session.demo)
  await drainFleet(session)
  if (stopping.force.aborted) {
    screen.finish()
    process.stderr.write(`streampipeline: stopped at once; ${whereTheRestIs(options)}\n`)
    return forcedExit
  }
  const summary = finished ?? (await movedSummary(session))
  screen.finish()
  process.stdout.write(
    `${options.output === 'json' ? summaryJson(summary) : summaryText(summary, performance.now() - startedAt)}\n`,
  )
  return isSound(summary) ? exitCodes.done : exitCodes.fault
}

const whereTheRestIs = (options: UpOptions): string =>
  options.redis === 'private' ? 'the private Redis is gone with what was left in it' : 'what was left is still in Redis'

/** One turn of the loop, and the pause after it, which `until` cuts short. Throws the session's fault. */
async function turn(session: Session, phase: Phase, until: AbortSignal): Promise<void> {
  const { control, reaper, pipeline, fault } = session
  const began = performance.now()
  await control.turn()
  await reaper.turn()
  show(session, phase)
  const rest = tickMs(pipeline.scaling.targetAgeMs) - (performance.now() - began)
  await pause(Math.max(0, rest), AbortSignal.any([until, fault]))
  fault.throwIfAborted()
}

function show({ pipeline, redisLabel, startedAt, control, fleet, demo, screen }: Session, phase: Phase): void {
  const { sample, decision, totals } = control
  screen.show({
    name: pipeline.name,
    redis: redisLabel,
    elapsedMs: performance.now() - startedAt,
    phase,
    targetAgeMs: pipeline.scaling.targetAgeMs,
    replicas: fleet.replicas(),
    totals,
    ...(sample === undefined ? {} : { sample }),
    ...(decision === undefined ? {} : { decision }),
    ...(demo === undefined ? {} : { demo: demo.counts() }),
  })
}

/** No progress for this long: what is left will not be finished. */
const stuckAfterMs = 60_000

/** Stops the input, goes on until everything that was added is settled and run, and accounts for it. */
async function finishDemo(session: Session, demo: Demo): Promise<Summary | undefined> {
  const { stopping, control, redis, pipeline, before, screen } = session
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
  const entries = (control.sample?.entriesAdded ?? 0) - before.sample.entriesAdded
  const deadKeys = await deadLetterKeys(redis, pipeline.deadLetter.stream, before.lastDeadLetter)
  const scope = scopeOf(pipeline.source.stream, pipeline.source.group)
  return {
    kind: 'Demo',
    ledger: ledgerOf({ scope, entries, keys, executions, skipped, deadKeys, maxReplicas: control.maxReplicas }),
  }
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

/** Every consumer finishes or hands back what it holds; the second signal doesn't wait for that. */
async function drainFleet({ fleet, stopping }: Session): Promise<void> {
  const force = () => fleet.kill()
  stopping.force.addEventListener('abort', force, { once: true })
  if (stopping.force.aborted) force()
  await fleet.stop()
  stopping.force.removeEventListener('abort', force)
}

async function movedSummary({ control, redis, pipeline, queue, before }: Session): Promise<Summary> {
  const after = await observe(redis, pipeline, queue)
  const { forwarded, duplicates } = control.totals
  return {
    kind: 'Moved',
    moved: {
      entries: after.entriesAdded - before.sample.entriesAdded,
      forwarded,
      duplicates,
      deadLetters: after.deadLetters - before.sample.deadLetters,
      left: unsettledEntries(after),
      maxReplicas: control.maxReplicas,
    },
  }
}
