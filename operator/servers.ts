/** The HTTP servers of the operator: `/livez` and `/healthz`, `/readyz`, and `/metrics`. */
import { listen } from '../process/httpserver.ts'
import type { Instance } from './instance.ts'
import type { LeaderWork } from './leaderwork.ts'
import type { OperatorMetrics } from './metrics/metrics.ts'
import type { CompiledOperatorOptions } from './options.ts'
import { pipelineType } from './plan/kinds.ts'
import { readiness } from './readiness.ts'

interface ServedParts {
  readonly options: CompiledOperatorOptions
  readonly metrics: OperatorMetrics
  readonly work: LeaderWork
  readonly instance: Pick<Instance, 'caches' | 'compatibility' | 'scopes'>
}

interface Servers {
  readonly ports: { readonly metrics: number; readonly health: number }
  close(): Promise<void>
}

export async function serveHttp({ options, metrics, work, instance }: ServedParts): Promise<Servers> {
  const { caches, compatibility, scopes } = instance
  const live = () => (work.longestRunningMs() > options.wedgedMs ? { code: 500, body: 'wedged\n' } : { code: 200, body: 'ok\n' })
  const ready = () => {
    const { state } = compatibility
    const filled = caches.views.states().filter((view) => view.kind === pipelineType.kind && view.filled)
    return readiness({
      settled: caches.views.settled,
      filled: filled.length,
      dark: caches.views.dark(),
      schemaFailure: state.kind === 'Outdated' ? state.error : undefined,
      wanted: scopes.wanted,
      theirs: scopes.theirs(),
    })
  }
  const healthServer = await listen('--health', options.health, { '/livez': live, '/healthz': live, '/readyz': ready })
  const metricsServer = await listen('--metrics', options.metrics, {
    '/metrics': async () => ({ code: 200, type: metrics.contentType, body: await metrics.scrape() }),
  }).catch(async (thrown: unknown) => {
    await healthServer.close()
    throw thrown
  })
  return {
    ports: { metrics: metricsServer.port, health: healthServer.port },
    close: async () => void (await Promise.all([metricsServer.close(), healthServer.close()])),
  }
}
