/** Small HTTP servers for probes and scrapes: what consumer and operator listen with. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { asFailure, failure } from '../api/errors.ts'

export interface Answer {
  readonly code: number
  readonly type?: string
  readonly body: string
}

interface HttpListener {
  /** The port listened on, also where 0 was asked for. */
  readonly port: number
  /** Idempotent. */
  close(): Promise<void>
}

export interface ListenAddress {
  /** Undefined: all interfaces. */
  readonly host: string | undefined
  readonly port: number
}

/** `:8080`, `127.0.0.1:8080`, `[::1]:8080`. Throws InvalidOption. */
export function parseListen(option: string, text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]*)):([0-9]{1,5})$/.exec(text)
  const port = Number(match?.[3] ?? -1)
  if (match === null || port > 65_535) throw failure('InvalidOption', { option, detail: `write HOST:PORT or :PORT, not ${text}` })
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '' ? undefined : host, port }
}

/** @param routes path → answer; anything else is 404 */
export async function listen(
  option: string,
  { host, port }: ListenAddress,
  routes: Readonly<Record<string, () => Answer | Promise<Answer>>>,
): Promise<HttpListener> {
  const server = createServer((request, response) => {
    const route = routes[(request.url ?? '').split('?')[0] ?? '']
    void answer(route).then(({ code, type = 'text/plain; charset=utf-8', body }) => {
      response.writeHead(code, { 'content-type': type })
      response.end(body)
    })
  })
  await started(server, host, port, option)
  let closed: Promise<void> | undefined
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closed
    },
  }
}

/** A route that fails answers 500: the server must outlive it. */
async function answer(route: (() => Answer | Promise<Answer>) | undefined): Promise<Answer> {
  if (route === undefined) return { code: 404, body: 'not found\n' }
  try {
    return await route()
  } catch (thrown) {
    return { code: 500, body: `${asFailure(thrown).message}\n` }
  }
}

function started(server: Server, host: string | undefined, port: number, option: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(failure('InvalidOption', { option, detail: error.message }, error)))
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve)
  })
}
