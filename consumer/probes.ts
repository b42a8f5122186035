/**
 * `/metrics`, `/livez`, `/readyz` of a consumer. Liveness fails only for a wedged loop: restarting a consumer because Redis is
 * away would not help. An answer of `/livez` proves that the event loop runs.
 */
import type { Registry } from 'prom-client'
import type { Answer } from '../process/httpserver.ts'
import type { Lifecycle } from './lifecycle.ts'
import { isReady } from './states.ts'

export function probes(registry: Registry, lifecycle: Lifecycle): Readonly<Record<string, () => Answer | Promise<Answer>>> {
  return {
    '/metrics': async () => ({ code: 200, type: registry.contentType, body: await registry.metrics() }),
    '/livez': () => ({ code: 200, body: 'ok\n' }),
    '/readyz': () => {
      const { state } = lifecycle
      const why = 'failure' in state && state.failure !== undefined ? `: ${state.failure.message}` : ''
      return { code: isReady(state) ? 200 : 503, body: `${state.kind}${why}\n` }
    },
  }
}
