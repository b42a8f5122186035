/**
 * `streampipeline up`: one pipeline on this machine. Consumers are child processes, scaled by the same `observe` and `decide` as
 * on a cluster. Redis is the resource's, or a private one that ends with the run.
 *
 * This file assembles and dismantles a run; session.ts conducts it. Everything is undone in reverse order, also when a second
 * signal ends the run while it is being assembled.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { hostname } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { asFailure, errorText, failure, type StreamPipelineError } from '../api/errors.ts'
import { exitCodeOf, exitCodes } from '../api/exitcodes.ts'
import { printableLines } from '../api/printable.ts'
import { shellWord } from '../api/quoting.ts'
import { ownerVariable } from '../consumer/identity.ts'
import { close, connect, open, type RedisConnection } from '../redis/connect/connection.ts'
import { directoryReader, type RedisAddress, resolveTarget } from '../redis/connect/references.ts'
import { streamPlace } from '../redis/placement.ts'
import { localOwner } from '../redis/stream/identity.ts'
import { openDecisionLog } from '../scaling/decisionlog.ts'
import { openConsumerLogs } from './consumerlogs.ts'
import { createControl } from './control.ts'
import { startDemo } from './demo/demo.ts'
import { watchFile } from './filewatch.ts'
import { createFleet } from './fleet.ts'
import { type Guard, startGuard } from './guard.ts'
import { cleanLeavings } from './leavings.ts'
import { startDeadLetters } from './leftovers.ts'
import { openRun } from './opening.ts'
import { createReaper } from './reaping.ts'
import { startPrivateRedis } from './redisserver.ts'
import {
  type LocalResource,
  loadResource,
  privateRedisSpec,
  type StartFrom,
  writePrivateReference,
  writeResource,
} from './resource.ts'
import { createRunFolder, removeRunFolder } from './runfolder.ts'
import { createScreen, type Screen } from './screen.ts'
import { conduct } from './session.ts'
import { forcedExit, listenForSignals, type Stopping } from './stopping.ts'
import { isSound, summaryJson, summaryText } from './summary.ts'

interface UpOptions {
  /** The resource's file. */
  readonly file: string
  /** The pipeline, if the file holds several. */
  readonly name?: string | undefined
  /** `private`: start a redis-server for this run, in place of the resource's. */
  readonly redis?: 'private' | undefined
  /** Start of a group that has never read; default: the resource's `source.startFrom`. */
  readonly from?: StartFrom | undefined
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

/** Time for consumers of a killed run to hand back their entries. The data of a private Redis are deleted with it. */
const orphanGraceMs = 2_500
const forcedRedisMs = 500

/**
 * Runs until a signal or the time given, drains, prints a summary. Failures are printed on standard error.
 * @returns the exit code: 0 done, 64 the file or an option cannot be used, 69 no Redis, 70 a bug of our own or a demo that
 * lost or repeated something, 130 ended by a second signal
 */
export async function runUp(options: UpOptions): Promise<number> {
  const screen = createScreen(options.output === 'json' ? process.stderr : process.stdout)
  const stopping = listenForSignals((count) => screen.event(count === 1 ? 'draining' : 'stopping at once'))
  const closers = createClosers(screen.event)
  const forced = new Promise<'Forced'>((resolve) => {
    stopping.force.addEventListener('abort', () => resolve('Forced'), { once: true })
  })
  const say = (text: string) => void process.stderr.write(`${printableLines(text)}\n`)
  try {
    const running = run(options, screen, stopping, closers.add)
    // It may end after the second signal, with an error or without. Only the signal is reported then.
    running.catch(() => undefined)
    const code = await Promise.race([running, forced])
    await closers.close()
    if (code !== 'Forced') return code
    screen.finish()
    say(`streampipeline: stopped at once; ${whereTheRestIs(options)}`)
    return forcedExit
  } catch (thrown) {
    const error = advised(asFailure(thrown), options)
    screen.finish()
    say(errorText(error))
    await closers.close()
    return exitCodeOf(error)
  } finally {
    stopping.release()
  }
}

const whereTheRestIs = (options: UpOptions): string =>
  options.redis === 'private' ? 'the private Redis is gone with what was left in it' : 'what was left is still in Redis'

/** On a user's own machine the remedy differs from that in a cluster. */
function advised(error: StreamPipelineError, { redis }: UpOptions): StreamPipelineError {
  if (error.code !== 'RedisUnreachable' || redis === 'private') return error
  const { address = '', detail = '' } = error.parameters
  return failure('LocalRedisUnreachable', { address, detail }, error)
}

type Closer = () => Promise<void>

interface Closers {
  /** A part that is added after closing has begun is closed at once. */
  add(closer: Closer): void
  /** In reverse order. A failure is reported, and the others still get their turn. Idempotent. */
  close(): Promise<void>
}

function createClosers(onEvent: (line: string) => void): Closers {
  const closers: Closer[] = []
  let closed: Promise<void> | undefined
  const attempt = async (closer: Closer) => {
    try {
      await closer()
    } catch (thrown) {
      onEvent(`could not clean up: ${asFailure(thrown).message}`)
    }
  }
  const closeAll = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await attempt(closer)
  }
  return {
    add(closer) {
      if (closed === undefined) closers.push(closer)
      else closed = closed.then(async () => await attempt(closer))
    },
    async close() {
      closed ??= closeAll()
      await closed
    },
  }
}

type OnClose = (closer: Closer) => void

async function run(options: UpOptions, screen: Screen, stopping: Stopping, onClose: OnClose): Promise<number> {
  // First: nothing is installed or started for a file that cannot be used.
  const given = await loadResource(options.file, options.name, undefined, options.from)
  const watched = await watchFile(options.file)
  const log = options.decisionLog === undefined ? undefined : openDecisionLog(options.decisionLog)
  if (log !== undefined) onClose(async () => log.close())
  const gone = await cleanUpAfterOthers(screen)
  const owner = localOwner({ host: hostname(), pid: process.pid, startedAt: performance.timeOrigin })
  const folder = await createRunFolder(owner)
  onClose(() => removeRunFolder(folder))
  const guard = startGuard(options.redis === 'private' ? 0 : orphanGraceMs)
  onClose(() => guard.stop())

  const place = await placeRun({ options, given, folder, owner, guard, screen, onClose, stopping })
  const { pipeline } = place.local
  const { redis, records, queue, address } = await openBackends(place, onClose)
  const opening = await openRun({ pipeline, redis, queue, from: options.from, gone, announce: screen.announce })

  const fatal = new AbortController()
  const reaper = createReaper({ pipeline, redis, onEvent: screen.event })
  onClose(() => reaper.turn())
  const logs = await openConsumerLogs(folder, (name, url) => screen.event(`consumer ${name} serves its metrics at ${url}`))
  onClose(() => logs.close())
  screen.event(`consumers log to ${logs.folder}`)
  const fleet = createFleet({
    name: pipeline.name,
    tag: randomBytes(3).toString('hex'),
    owner,
    command: process.execPath,
    compileCache: join(folder, 'compiled'),
    args: (name) => consumerArguments(place.file, name, place.refs),
    graceMs: pipeline.terminationGracePeriodMs,
    guard,
    onLine: logs.line,
    onEvent: screen.event,
    onDeath: reaper.died,
    onFatal: (error) => fatal.abort(error),
  })
  onClose(async () => {
    fleet.kill()
    await fleet.stop()
  })
  const control = createControl({
    ...{ pipeline, redis, queue, fleet, opening },
    uidPrefix: `${owner}/`,
    onEvent: screen.event,
    onDecision: log?.write,
  })
  const deadLetters = await startDeadLetters(records, streamPlace(pipeline))
  const input = { file: place.file, refs: place.refs, seed: randomInt(2 ** 31) }
  const demo = options.demo ? startDemo(input, (error) => fatal.abort(error)) : undefined
  if (demo !== undefined) onClose(() => demo.close())

  const startedAt = performance.now()
  const summary = await conduct({
    ...{ pipeline, redis, queue, fleet, control, reaper, demo, deadLetters, screen, stopping, startedAt },
    private: options.redis === 'private',
    redisLabel: address.label,
    file: watched,
    forMs: options.for,
    fatal: fatal.signal,
  })
  if (summary === undefined) return forcedExit
  screen.finish()
  const report = options.output === 'json' ? summaryJson(summary) : summaryText(summary, performance.now() - startedAt)
  process.stdout.write(`${report}\n`)
  return isSound(summary) ? exitCodes.done : exitCodes.internal
}

/** @returns owners of the runs that are gone */
async function cleanUpAfterOthers(screen: Screen): Promise<readonly string[]> {
  const { owners, folders, processes } = await cleanLeavings()
  if (owners.length > 0) {
    const runs = owners.length === 1 ? 'an earlier run was killed' : `${owners.length} earlier runs were killed`
    screen.event(`${runs}: removed what was left (folders: ${folders}, processes: ${processes})`)
  }
  return owners
}

interface PlaceParts {
  readonly options: UpOptions
  readonly given: LocalResource
  readonly folder: string
  readonly owner: string
  readonly guard: Guard
  readonly screen: Screen
  readonly onClose: OnClose
  readonly stopping: Stopping
}

/** The settings of the consumers' start. */
interface Place {
  readonly local: LocalResource
  /** The resource as they read it. */
  readonly file: string
  readonly refs: string | undefined
}

async function placeRun({ options, given, folder, owner, guard, screen, onClose, stopping }: PlaceParts): Promise<Place> {
  if (options.redis !== 'private') {
    return { local: given, file: await writeResource(given.resource, folder), refs: options.refs }
  }
  const redis = await startPrivateRedis({ progress: screen.event, within: folder, guard, env: { [ownerVariable]: owner } })
  onClose(() => redis.stop(stopping.force.aborted ? forcedRedisMs : undefined))
  const local = await loadResource(options.file, options.name, privateRedisSpec, options.from)
  const file = await writeResource(local.resource, folder)
  // Everything lives in the private Redis, so nothing else is referred to.
  const refs = await writePrivateReference(redis.url, folder)
  screen.event(`private Redis at ${redis.url} (pid ${redis.pid})`)
  screen.announce('While this runs, for this user alone:')
  screen.announce(`  ${command('redis-cli', '-s', redis.socket)}`)
  screen.announce(`  ${command(process.execPath, commandLine, 'dead', 'list', '-f', file, '--refs', refs)}`)
  return { local, file, refs }
}

const command = (...words: readonly string[]) => words.map(shellWord).join(' ')

interface Backends {
  readonly redis: RedisConnection
  /** For dead letters, which the small replies of looks do not hold. */
  readonly records: RedisConnection
  readonly queue: RedisConnection
  readonly address: RedisAddress
}

async function openBackends({ local: { pipeline }, refs }: Place, onClose: OnClose): Promise<Backends> {
  const read = directoryReader(refs)
  const address = await resolveTarget(pipeline.redis, read)
  const redis = await opened(connect(address, 'Observer'), onClose)
  const records = await opened(connect(address, 'CommandLine'), onClose)
  const elsewhere = pipeline.sink.redis
  if (elsewhere === undefined) return { redis, records, queue: redis, address }
  const queue = await opened(connect(await resolveTarget(elsewhere, read), 'Observer'), onClose)
  return { redis, records, queue, address }
}

async function opened(connection: RedisConnection, onClose: OnClose): Promise<RedisConnection> {
  onClose(() => close(connection))
  await open(connection)
  return connection
}

/** The sources run as .ts, the published package as .js: the command line has the extension of this file. */
const commandLine = fileURLToPath(new URL(`../cli/main${extname(import.meta.url)}`, import.meta.url))

function consumerArguments(file: string, name: string, refs: string | undefined): string[] {
  const given = refs === undefined ? [] : ['--refs', refs]
  return [commandLine, 'consume', '--config', file, '--name', name, '--listen', '127.0.0.1:0', '--end-with-stdin', ...given]
}
