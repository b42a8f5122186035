/**
 * `streampipeline operator`: assembles the parts and runs them until SIGTERM. Shutdown in order: intake stops. Reconciles under way
 * finish, or are cut after ten seconds. The Lease is released. Waiting Events are written, for three seconds. Watches and
 * connections close. The exit code is 0.
 */
import { systemClock } from '../process/clock.ts'
import { createLogger, printableDestination, standardOutput } from '../process/logger.ts'
import { createInstance } from './instance.ts'
import { shares } from './kubernetes/controller.ts'
import { loadCredentials } from './kubernetes/credentials.ts'
import { createQueue } from './kubernetes/queue.ts'
import { serveTerm } from './leader.ts'
import { createLeaderWork } from './leaderwork.ts'
import { createMetrics } from './metrics/metrics.ts'
import { compileOptions, type OperatorOptions } from './options.ts'
import { serveHttp } from './servers.ts'

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
  const work = createLeaderWork()
  const instance = createInstance({ clock, log, metrics, options: compiled, namespace, credentials, work })
  const { transport, caches, scopes, compatibility, recorder } = instance
  metrics.measure({
    depth: () => work.depth,
    longestRunningMs: work.longestRunningMs,
    unfinishedMs: work.unfinishedMs,
  })
  metrics.cover({ views: caches.views.states, theirs: scopes.theirs })
  const servers = await serveHttp({ options: compiled, metrics, work, instance })
  options.onListening?.(servers.ports)
  log.info({ namespaces: compiled.namespaces, namespace, identity: compiled.identity }, 'operator started')

  const watching = new AbortController()
  const reflecting = Promise.all([caches, compatibility, scopes].map((part) => part.run(watching.signal)))
  try {
    await instance.elector.run(options.signal, async (term, cut) => {
      log.info('leading')
      metrics.leading(true)
      const queue = createQueue(clock, metrics.queue, shares)
      work.begin(queue)
      const parts = { ...instance, clock, queue, metrics, log, options: compiled, namespace, recordDecision }
      try {
        await serveTerm({ ...parts, onReconciler: work.lead }, term, cut)
      } finally {
        work.end()
        metrics.leading(false)
        log.info('no longer leading')
      }
    })
  } finally {
    // After the Lease is gone: the next leader need not wait for Events.
    const events = await recorder.close(AbortSignal.timeout(lastEventsMs))
    if (events > 0) log.warn({ events }, 'the API server did not take the last Events in time')
    watching.abort()
    instance.rewind.close()
    await reflecting
    await servers.close()
    await transport.close()
    metrics.close()
  }
  log.info('operator stopped')
  return 0
}
