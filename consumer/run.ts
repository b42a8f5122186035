/**
 * The process around a consumer: configuration, probes, logs, signals, exit codes.
 *
 * 0 drained; 64 the configuration cannot be used; 69 Redis could not be reached, or refused us, for too long at start; 70 a bug of
 * our own. A configuration error ends at once. So does a missing reference, since kubelet mounts them before it starts a container.
 * A cause that may pass, such as a Redis outage, is tried again.
 */
import { hostname } from 'node:os'
import { compilePipeline } from '../api/compile.ts'
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { exitCodeOf, exitCodes } from '../api/exitcodes.ts'
import { readPipelines } from '../api/files.ts'
import { type Problem, parsePipeline, pipelineWarnings } from '../api/validate.ts'
import { backoffMs } from '../process/backoff.ts'
import { systemClock } from '../process/clock.ts'
import { listen, parseListen } from '../process/httpserver.ts'
import { createLogger, standardOutput } from '../process/logger.ts'
import { pause } from '../process/pause.ts'
import { connect, labelOf } from '../redis/connect/connection.ts'
import { directoryReader, type ReadReference, resolveTarget } from '../redis/connect/references.ts'
import { streamPlace } from '../redis/placement.ts'
import { chooseSettlePath } from '../redis/settle/choose.ts'
import { type Consumer, createConsumer } from './consumer.ts'
import { consumerUid } from './identity.ts'
import { createLogObserver } from './logging.ts'
import { createConsumerMetrics } from './metrics.ts'
import type { ConsumerConnections } from './parts.ts'
import { probes } from './probes.ts'
import { promisedAge } from './promise.ts'
import { redisBackoff } from './states.ts'

/** A schema of thousands of properties may have as many warnings; `validate` lists them all. */
const maxWarnings = 20

interface ConsumeOptions {
  /** The StreamPipeline resource. */
  readonly config: string
  /** Name in the group; default: POD_NAME, else the host's name. */
  readonly name?: string
  /** HOST:PORT of the probes; default `:9090`. */
  readonly listen?: string
  /** Folder of mounted references, `secret/NAME/KEY` and `configmap/NAME/KEY`. */
  readonly refs?: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal
  /** How long Redis may refuse at start before the process gives up and lets its supervisor decide. Default: 60 s. */
  readonly startPatienceMs?: number
}

export async function runConsumer(options: ConsumeOptions): Promise<number> {
  const log = createLogger('info', standardOutput())
  const logError = (error: StreamPipelineError) => log.error({ code: error.code, remedy: error.remedy }, error.message)
  let consumer: Consumer | undefined
  const crashed = Promise.withResolvers<number>()
  try {
    const { pipeline, warnings } = await loadConfig(options.config)
    log.level = pipeline.logLevel.toLowerCase()
    for (const { field, message } of warnings.slice(0, maxWarnings)) log.warn({ field }, message)
    const name = options.name ?? options.env['POD_NAME'] ?? hostname()
    const connections = await makeConnections(pipeline, directoryReader(options.refs))
    const promised = promisedAge(options.config, pipeline.scaling.targetAgeMs)
    const metrics = createConsumerMetrics(pipeline, promised.targetAgeMs)
    const made = createConsumer({
      pipeline,
      place: streamPlace(pipeline),
      name,
      uid: consumerUid({
        pipelineUid: pipeline.uid,
        env: options.env,
        process: { host: hostname(), pid: process.pid, startedAt: performance.timeOrigin },
      }),
      connections,
      choosePath: async () => await chooseSettlePath(pipeline, connections.writer, connections.queue),
      observers: [metrics.observer, createLogObserver(log, pipeline.source)],
      crash(thrown) {
        logError(asFailure(thrown))
        crashed.resolve(exitCodes.internal)
      },
      clock: systemClock,
    })
    consumer = made
    const server = await listen(
      '--listen',
      parseListen('--listen', options.listen ?? ':9090'),
      probes(metrics.registry, made.lifecycle),
    )
    log.info({ consumer: name, pipeline: pipeline.name, port: server.port }, 'consumer starts')
    const ended = new AbortController()
    const following = promised.follow(ended.signal, (thrown) => log.warn({ err: thrown }, 'the promised age could not be read'))
    try {
      const living = live(made, options, labelOf(connections.blocking), pipeline.terminationGracePeriodMs)
      return await Promise.race([living, crashed.promise])
    } finally {
      ended.abort()
      await Promise.all([following, server.close()])
    }
  } catch (thrown) {
    const error = asFailure(thrown)
    logError(error)
    await consumer?.stop(performance.now())
    return exitCodeOf(error)
  }
}

async function live(
  consumer: Consumer,
  { signal, startPatienceMs = 60_000 }: ConsumeOptions,
  label: string,
  graceMs: number,
): Promise<number> {
  // A fifth of the grace period is left for closing connections and for a slow kubelet.
  const stop = async () => await consumer.stop(performance.now() + graceMs * 0.8)
  if (await started(consumer, signal, label, startPatienceMs)) await once(signal)
  await stop()
  return exitCodes.done
}

/**
 * Tries to start until it works; false when asked to stop before. Throws what is terminal, or has lasted too long. A Redis that
 * accepts the blocking connection and never replies would hold an attempt for ever. So commands under way fail when connections are
 * closed.
 */
async function started(consumer: Consumer, signal: AbortSignal, label: string, patienceMs: number): Promise<boolean> {
  const left = new AbortController()
  const ended = AbortSignal.any([signal, left.signal])
  const over = pause(patienceMs, ended).then(() => (ended.aborted ? undefined : ('over' as const)))
  let error = failure('RedisUnreachable', { address: label, detail: `no answer within ${patienceMs} ms` })
  try {
    for (let attempt = 1; !signal.aborted; attempt++) {
      const outcome = await Promise.race([consumer.start().then(() => 'started' as const, asFailure), over])
      if (outcome === 'started') return true
      if (outcome === undefined) return false
      if (outcome === 'over') throw error
      error = outcome
      if (!error.retryable) throw error
      await Promise.race([pause(backoffMs(attempt, redisBackoff, Math.random()), ended), over])
    }
    return false
  } finally {
    left.abort()
  }
}

async function once(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

interface Config {
  readonly pipeline: CompiledPipeline
  /** Findings of `validate` on a resource that runs all the same. */
  readonly warnings: readonly Problem[]
}

async function loadConfig(file: string): Promise<Config> {
  const [first, second] = await readPipelines(file)
  if (first === undefined) throw failure('UnreadableFile', { file, detail: 'there is no StreamPipeline in it' })
  if (second !== undefined) {
    throw failure('InvalidOption', { option: '--config', detail: `${file} holds several StreamPipelines; a consumer serves one` })
  }
  return { pipeline: compilePipeline(parsePipeline(first.document)), warnings: pipelineWarnings(first.document) }
}

async function makeConnections(pipeline: CompiledPipeline, read: ReadReference): Promise<ConsumerConnections> {
  const address = await resolveTarget(pipeline.redis, read)
  const writer = connect(address, 'Writer')
  const elsewhere = pipeline.sink.redis
  const queue = elsewhere === undefined ? writer : connect(await resolveTarget(elsewhere, read), 'Writer')
  return { blocking: connect(address, 'Blocking'), writer, queue }
}
