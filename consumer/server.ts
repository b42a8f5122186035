/**
 * `/metrics`, `/livez`, `/readyz`. Liveness fails only for a wedged loop: restarting a consumer because Redis is away would help
 * nobody. The event loop answering at all is what `/livez` proves.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { failure } from '../api/errors.ts'
import type { Lifecycle } from './lifecycle.ts'
import { isReady } from './states.ts'

export interface ListenAddress {
  /** Every interface when absent, IPv4 alone where there is no IPv6. */
  readonly host?: string
  readonly port: number
}

/** `HOST:PORT`, `:PORT` for every interface, `[::1]:PORT`; port 0 takes a free one. Throws InvalidOption. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):([0-9]{1,5})$/.exec(text)
  const port = Number(match?.[3] ?? Number.NaN)
  if (match === null || port > 65_535)
    throw failure('InvalidOption', { option: '--listen', detail: `${text} is not HOST:PORT or :PORT` })
  const host = match[1] ?? match[2]
  return host === undefined || host === '' ? { port } : { host, port }
}

export interface ProbeServer {
  /** Port it listens on, once started. */
  readonly port: number
  start(): Promise<void>
  stop(): Promise<void>
}

export function createProbeServer(address: ListenAddress, registry: Registry, lifecycle: Lifecycle): ProbeServer {
  let server: Server | undefined

  const answer = async (path: string): Promise<{ status: number; type: string; body: string }> => {
    const text = { type: 'text/plain; charset=utf-8' }
    switch (path) {
      case '/metrics':
        return { status: 200, type: registry.contentType, body: await registry.metrics() }
      case '/livez':
        return { ...text, status: 200, body: 'ok\n' }
      case '/readyz': {
        const { state } = lifecycle
        const why = 'failure' in state && state.failure !== undefined ? `: ${state.failure.message}` : ''
        return { ...text, status: isReady(state) ? 200 : 503, body: `${state.kind}${why}\n` }
      }
      default:
        return { ...text, status: 404, body: 'not found; there are /metrics, /livez and /readyz\n' }
    }
  }

  return {
    get port() {
      const bound = server?.address() as AddressInfo | null | undefined
      return bound?.port ?? address.port
    },
    async start() {
      if (server !== undefined) return
      const starting = createServer((request, response) => {
        const path = (request.url ?? '/').split('?')[0] ?? '/'
        answer(path).then(
          ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
          (thrown: unknown) => response.writeHead(500).end(`${String(thrown)}\n`),
        )
      })
      await new Promise<void>((resolve, reject) => {
        starting.once('error', (thrown: NodeJS.ErrnoException) => {
          reject(
            failure(
              'InvalidOption',
              {
                option: '--listen',
                detail: `cannot listen on ${address.host ?? ''}:${address.port}: ${thrown.code ?? thrown.message}`,
              },
              thrown,
            ),
          )
        })
        starting.listen(address, resolve)
      })
      server = starting
    },
    async stop() {
      const stopping = server
      server = undefined
      if (stopping === undefined) return
      await new Promise<void>((resolve) => {
        stopping.close(() => resolve())
        stopping.closeAllConnections()
      })
    },
  }
}
