/**
 * `streampipeline operator`: assembles the parts and runs them until SIGTERM. Shutdown in order: intake stops, reconciles under
 * way finish (or are cut after ten seconds), the Lease is released, Events that still wait are written (for three seconds), watches
 * and connections close, exit code 0.
 */
import type { Logger } from 'pino'
import { systemClock } from '../process/clock.ts'
import { listen } from '../process/httpserver.ts'
import { createLogger, printableDestination, standardOutput } from '../process/logger.ts'
import { type Caches, createCaches } from './caches.ts'
import { createCompatibilityCheck } from './compatibility.ts'
import { createApplier } from './kubernetes/apply.ts'
import { shares } from './kubernetes/controller.ts'
import { loadCredentials } from './kubernetes/credentials.ts'
import { createFairTransport } from './kubernetes/fairtransport.ts'
import { keyOf, splitKey } from './kubernetes/objects.ts'
import { createQueue, type WorkQueue } from './kubernetes/queue.ts'
import { createRecorder } from './kubernetes/recorder.ts'
import { createTransport } from './kubernetes/transport.ts'
import { serveTerm } from './leader.ts'
import { createMetrics } from './metrics/metrics.ts'
import { compileOptions, type OperatorOptions } from './options.ts'
import { mainManager, pipelineType } from './plan/kinds.ts'
import { acknowledgedAnnotation, reconcileAnnotation } from './plan/names.ts'
import type { PipelineObject } from './plan/observed.ts'
import { readiness } from './readiness.ts'
import type { Reconciler } from './reconcile.ts'
import { createRewind } from './rewind.ts'
import { createScopes, type Standing } from './scopes.ts'
import { createSuccession } from './succession.ts'

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
  const connection = createTransport(credentials, { onResponse: metrics.responded })
  const transport = createFairTransport(connection)
  const applier = createApplier(transport, mainManager)
  /** Present while leading: standbys keep caches, but have no work. */
  let queue: WorkQueue | undefined
  let reconciler: Reconciler | undefined
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
  const heard = (key: string) => {
    reconciler?.touched(key)
    queue?.add(key, caches.views.synced ? 'Changed' : 'Resynced')
  }
  const lookAgain = (namespace?: string) => {
    for (const object of caches.pipelines.list())
      if (namespace === undefined || object.metadata.namespace === namespace) queue?.add(keyOf(object), 'Resynced')
  }
  const rewind = createRewind({
    clock,
    relist() {
      log.warn('the API server went back to an earlier state: everything is read anew')
      scopes.relist()
      caches.views.relist()
    },
    forget() {
      applier.forgetAll()
      reconciler?.forgetAll()
      lookAgain()
    },
  })
  const caches: Caches = createCaches({
    transport,
    clock,
    namespaces: compiled.namespaces,
    podMonitor: compiled.podMonitor,
    onPipeline(key, change) {
      scopes.want(splitKey(key).namespace)
      if (change.kind === 'Removed' || mattersTo(change.before, change.object)) heard(key)
    },
    onChild(key, type, change) {
      if (change.kind === 'Removed') applier.forget(type, change.key, change.before.metadata.uid)
      heard(key)
    },
    onPod: heard,
    onBackoff: (type, error, attempt) =>
      log.debug({ kind: type.kind, attempt, ...(error === undefined ? {} : { err: error }) }, 'a watch is interrupted'),
    onView(type, within, dark) {
      const fields = { kind: type.kind, ...(within === undefined ? {} : { namespace: within }) }
      if (dark === undefined) log.info(fields, 'objects are seen again')
      else log.warn({ ...fields, err: dark.error, code: dark.error.code }, 'objects cannot be watched')
      lookAgain(within)
    },
    onRewound: rewind.notice,
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
  const scopes = createScopes({
    transport,
    clock,
    namespaces: compiled.namespaces,
    release: `${namespace}/${compiled.lease}`,
    durationMs: compiled.scopeMs,
    onChange(within, standing) {
      report(log, within, standing)
      lookAgain(within)
    },
  })
  const elector = createSuccession({
    transport,
    clock,
    namespace,
    name: compiled.lease,
    identity: compiled.identity,
    onFault: (error) => log.warn({ err: error }, 'the Lease could not be read or written'),
    onRewound: rewind.notice,
  })
  metrics.cover({ views: caches.views.states, theirs: scopes.theirs })

  const live = () =>
    (queue?.longestRunningMs() ?? 0) > compiled.wedgedMs ? { code: 500, body: 'wedged\n' } : { code: 200, body: 'ok\n' }
  const ready = () => {
    const { state } = compatibility
    const filled = caches.views.states().filter((view) => view.kind === pipelineType.kind && view.filled)
    return readiness({
      settled: caches.views.settled,
      filled: filled.length,
      dark: caches.views.dark(),
      schemaFault: state.kind === 'Outdated' ? state.error : undefined,
      wanted: scopes.wanted,
      theirs: scopes.theirs(),
    })
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
  const reflecting = Promise.all([caches, compatibility, scopes].map((part) => part.run(watching.signal)))
  try {
    await elector.run(options.signal, async (term, cut) => {
      log.info('leading')
      metrics.leading(true)
      queue = createQueue(clock, metrics.queue, shares)
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
            scopes,
            onReconciler(begun) {
              reconciler = begun
            },
            recordDecision,
          },
          term,
          cut,
        )
      } finally {
        queue.close()
        queue = undefined
        reconciler = undefined
        metrics.leading(false)
        log.info('no longer leading')
      }
    })
  } finally {
    // After the Lease is gone: whoever leads next need not wait for what is only told.
    const events = await recorder.close(AbortSignal.timeout(lastEventsMs))
    if (events > 0) log.warn({ events }, 'the API server did not take the last Events in time')
    watching.abort()
    rewind.close()
    await reflecting
    await Promise.all([metricsServer.close(), healthServer.close()])
    await transport.close()
    metrics.close()
  }
  log.info('operator stopped')
  return 0
}

/** Our own status writes come back as events; they are no news. */
export function mattersTo(before: PipelineObject | undefined, after: PipelineObject): boolean {
  if (before === undefined) return true
  const [old, now] = [before.metadata, after.metadata]
  return (
    old.uid !== now.uid ||
    old.generation !== now.generation ||
    old.deletionTimestamp !== now.deletionTimestamp ||
    old.annotations?.[reconcileAnnotation] !== now.annotations?.[reconcileAnnotation] ||
    old.annotations?.[acknowledgedAnnotation] !== now.annotations?.[acknowledgedAnnotation]
  )
}

function report(log: Logger, namespace: string, standing: Standing): void {
  switch (standing.kind) {
    case 'Pending':
      return
    case 'Mine':
      log.info({ namespace }, 'this release serves the namespace')
      return
    case 'Theirs':
      log.warn({ namespace, holder: standing.holder }, 'another release serves the namespace: this one stands back')
      return
    case 'Unclaimed': {
      const { error } = standing
      log.warn(
        { namespace, err: error, code: error.code },
        'the namespace is served, but not claimed: two releases would not notice',
      )
      return
    }
    default:
      throw standing satisfies never
  }
}
