/**
 * `streampipeline operator`: assembles the parts and runs them until SIGTERM. Shutdown in order: intake stops, reconciles under
 * way finish (or are cut after ten seconds), the Lease is released, Events that still wait are written (for three seconds), watches
 * and connections close, exit code 0.
 */
import { listen } from '../process/httpserver.ts'
import { createLogger, printableDestination, standardOutput } from '../process/logger.ts'
import { type Caches, createCaches } from './caches.ts'
import { createCompatibilityCheck } from './compatibility.ts'
import { createApplier } from './kubernetes/apply.ts'
import { systemClock } from './kubernetes/clock.ts'
import { loadCredentials } from './kubernetes/credentials.ts'
import { createElector } from './kubernetes/elector.ts'
import { createQueue, type WorkQueue } from './kubernetes/queue.ts'
import { createRecorder } from './kubernetes/recorder.ts'
import { createTransport } from './kubernetes/transport.ts'
import { serveTerm } from './leader.ts'
import { createMetrics } from './metrics/metrics.ts'
import { compileOptions, type OperatorOptions } from './options.ts'
import { mainManager } from './plan/kinds.ts'
import { reconcileAnnotation } from './plan/names.ts'
import type { PipelineObject } from './plan/observed.ts'

const leaseName = 'streampipeline-operator'
const lastEventsMs = 3_000

/**
 * Runs until `options.signal` aborts; resolves to the exit code.
 * @throws InvalidOption, UnreadableFile before anything is started
 */
export async function runOperator(options: OperatorOptions): Promise<number> {
  const compiled = compileOptions(options)
  const credentials = loadCredentials(options.kubeconfig)
  const namespace = compiled.podNamespace ?? credentials.namespace ?? 'default'
  const output = options.log === undefined ? standardOutput() : printableDestination(options.log)
  const log = createLogger(compiled.logLevel, output)
  const recordDecision = (line: string) => void output.write(line)
  const clock = systemClock
  const metrics = createMetrics()
  const transport = createTransport(credentials, { onResponse: metrics.responded })
  const applier = createApplier(transport, mainManager)
  /** Present while leading: standbys keep caches, but have no work. */
  let queue: WorkQueue | undefined
  const recorder = createRecorder({
    transport,
    clock,
    controller: 'streampipeline-operator',
    instance: compiled.identity,
    busy: () => (queue?.depth ?? 0) > 0,
    onFault: (error) => log.warn({ err: error }, 'an Event could not be written'),
  })
  metrics.measure({
    depth: () => queue?.depth ?? 0,
    longestRunningMs: () => queue?.longestRunningMs() ?? 0,
    unfinishedMs: () => queue?.unfinishedMs() ?? 0,
  })

  /** What the first lists tell is no change: nothing else would overtake it. */
  const heard = (key: string) => queue?.add(key, caches.synced ? 'Changed' : 'Resynced')
  const caches: Caches = createCaches({
    transport,
    clock,
    namespaces: compiled.namespaces,
    podMonitor: compiled.podMonitor,
    onPipeline(key, change) {
      if (change.kind === 'Removed' || mattersTo(change.before, change.object)) heard(key)
    },
    onChild(key, type, change) {
      if (change.kind === 'Removed') applier.forget(type, change.key, change.before.metadata.uid)
      heard(key)
    },
    onPod: heard,
    onBackoff: (type, error, attempt) =>
      log[attempt > 3 ? 'warn' : 'debug'](
        { kind: type.kind, attempt, ...(error === undefined ? {} : { err: error }) },
        'a watch is interrupted',
      ),
    onHandlerFault: (thrown) => log.error({ err: thrown }, 'a handler of a watch failed'),
  })
  const compatibility = createCompatibilityCheck({
    transport,
    clock,
    everyMs: compiled.schemaEveryMs,
    onChange(state) {
      if (state.kind === 'Outdated') log.error({ err: state.error }, 'the served schema is too old')
      else log.info('the served schema fits')
      for (const { metadata } of caches.pipelines.list()) queue?.add(`${metadata.namespace ?? ''}/${metadata.name ?? ''}`)
    },
    onFault: (error) => log.warn({ err: error }, 'the served schema could not be read'),
  })
  const elector = createElector({
    transport,
    clock,
    namespace,
    name: leaseName,
    identity: compiled.identity,
    onFault: (error) => log.warn({ err: error }, 'the Lease could not be read or written'),
  })

  const live = () =>
    (queue?.longestRunningMs() ?? 0) > compiled.wedgedMs ? { code: 500, body: 'wedged\n' } : { code: 200, body: 'ok\n' }
  const ready = () => {
    if (!caches.synced) return { code: 503, body: 'caches are not filled yet\n' }
    const { state } = compatibility
    return state.kind === 'Outdated' ? { code: 503, body: `${state.error.advice}\n` } : { code: 200, body: 'ok\n' }
  }
  const healthServer = await listen('--health', compiled.health, { '/livez': live, '/healthz': live, '/readyz': ready })
  const metricsServer = await listen('--metrics', compiled.metrics, {
    '/metrics': async () => ({ code: 200, type: metrics.contentType, body: await metrics.scrape() }),
  }).catch(async (thrown: unknown) => {
    await healthServer.close()
    throw thrown
  })
  options.onListening?.({ metrics: metricsServer.port, health: healthServer.port })
  log.info({ namespaces: compiled.namespaces, namespace, identity: compiled.identity }, 'operator started')

  const watching = new AbortController()
  const reflecting = Promise.all([caches.run(watching.signal), compatibility.run(watching.signal)])
  try {
    await elector.run(options.signal, async (term, cut) => {
      log.info('leading')
      metrics.leading(true)
      queue = createQueue(clock, metrics.queue)
      try {
        await serveTerm(
          {
            transport,
            clock,
            caches,
            applier,
            queue,
            recorder,
            metrics,
            log,
            options: compiled,
            namespace,
            compatibility,
            recordDecision,
          },
          term,
          cut,
        )
      } finally {
        queue.close()
        queue = undefined
        metrics.leading(false)
        log.info('no longer leading')
      }
    })
  } finally {
    // After the Lease is gone: whoever leads next need not wait for what is only told.
    const events = await recorder.close(AbortSignal.timeout(lastEventsMs))
    if (events > 0) log.warn({ events }, 'the API server did not take the last Events in time')
    watching.abort()
    await reflecting
    await Promise.all([metricsServer.close(), healthServer.close()])
    await transport.close()
    metrics.close()
  }
  log.info('operator stopped')
  return 0
}

/** Our own status writes come back as events; they are no news. */
function mattersTo(before: PipelineObject | undefined, after: PipelineObject): boolean {
  if (before === undefined) return true
  const [old, now] = [before.metadata, after.metadata]
  return (
    old.uid !== now.uid ||
    old.generation !== now.generation ||
    old.deletionTimestamp !== now.deletionTimestamp ||
    old.annotations?.[reconcileAnnotation] !== now.annotations?.[reconcileAnnotation]
  )
}
