/**
 * A proxy in front of an API server that answers in its place where a rule asks for it, and passes everything else on, token and
 * all. Like the API server it speaks HTTP/2 over TLS. It keeps count of what came, which an audit log does only afterwards.
 */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { constants, createSecureServer, type ServerHttp2Stream } from 'node:http2'
import { Agent, request } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { kubeconfigOf } from '../support/kubeclient.ts'
import type { Scope } from '../support/scope.ts'
import type { ApiServer } from '../support/serveraccess.ts'

export interface Asked {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly atMs: number
}

interface Refusal {
  readonly code: number
  readonly reason: string
  readonly retryAfterSeconds?: number
}

export type Rule = (asked: Asked) => Refusal | 'hang' | undefined

export interface RefusingProxy {
  /** Of that user, through the proxy. */
  kubeconfig(user: string): Promise<string>
  rule: Rule
  /** How long it keeps a request before it passes it on: a server, or a webhook, that takes its time. */
  delayMs: (asked: Asked) => number
  readonly asked: Asked[]
  /** Open watches of which the path matches are reset. */
  cut(path: RegExp): void
}

export async function startRefusingProxy(scope: Scope, server: ApiServer): Promise<RefusingProxy> {
  const asked: Asked[] = []
  const sockets = new Set<Socket>()
  const open = new Map<ServerHttp2Stream, string>()
  const agent = new Agent({ keepAlive: true, maxSockets: 200, ca: server.identity.cert })
  const self: RefusingProxy = {
    asked,
    rule: () => undefined,
    delayMs: () => 0,
    async kubeconfig(user) {
      const { token, kubeconfig } = await server.user(user)
      const file = join(dirname(kubeconfig), `${user}-proxied.kubeconfig`)
      await writeFile(file, kubeconfigOf(url, server.caData, user, token), { mode: 0o600 })
      return file
    },
    cut(path) {
      for (const [stream, of] of open) if (path.test(of)) stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    },
  }

  function refuse(stream: ServerHttp2Stream, { code, reason, retryAfterSeconds }: Refusal): void {
    const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }
    stream.respond({ ':status': code, 'content-type': 'application/json', ...headers })
    const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: 'as the proxy will' }
    stream.end(JSON.stringify(status))
  }

  const proxy = createSecureServer({ ...server.identity })
  proxy.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  proxy.on('session', (session) => session.on('error', () => undefined))
  proxy.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined)
    const { ':method': method = 'GET', ':path': path = '/', ...rest } = headers
    const one = { method, path, atMs: performance.now() }
    asked.push(one)
    const refusal = self.rule(one)
    if (refusal === 'hang') return
    if (refusal !== undefined) return refuse(stream, refusal)
    const passed = Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith(':')))
    const upstream = request(`${server.url}${path}`, { method, headers: passed, agent }, (answer) => {
      if (stream.destroyed || stream.closed) return answer.destroy()
      stream.respond({
        ':status': answer.statusCode ?? 502,
        'content-type': answer.headers['content-type'] ?? 'application/json',
      })
      answer.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR))
      answer.pipe(stream)
      return undefined
    })
    upstream.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR))
    open.set(stream, path)
    stream.on('close', () => {
      open.delete(stream)
      upstream.destroy()
    })
    const delay = setTimeout(() => stream.pipe(upstream), self.delayMs(one))
    stream.on('close', () => clearTimeout(delay))
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const url = `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  scope.after(async () => {
    agent.destroy()
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => proxy.close(resolve))
  })
  return self
}
