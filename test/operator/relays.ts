/** Proxies between the operator and an API server, and the connections that they see. */
import { once } from 'node:events'
import { createServer as createPlainServer } from 'node:http'
import { createServer as createTlsServer, request } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiServer } from '../support/apiserver.ts'
import { kubeconfigOf } from '../support/kubeclient.ts'
import type { Scope } from '../support/scope.ts'

export interface Relay {
  readonly port: number
  /** Since the start. */
  readonly accepted: number
  readonly open: number
  /** At once, leaving out the moment in which one takes another's place. */
  readonly most: number
  cut(): void
}

async function listening(scope: Scope, server: Server): Promise<Relay> {
  const sockets = new Set<Socket>()
  let [accepted, most] = [0, 0]
  server.on('connection', async (socket: Socket) => {
    accepted++
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    await sleep(50)
    most = Math.max(most, sockets.size)
  })
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(async () => {
    cut()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted
    },
    get open() {
      return sockets.size
    },
    get most() {
      return most
    },
    cut,
  }
}

function join(one: Socket, other: Socket): void {
  one.pipe(other).pipe(one)
  for (const [mine, theirs] of [
    [one, other],
    [other, one],
  ] as const) {
    mine.on('error', () => theirs.destroy())
    mine.on('close', () => theirs.destroy())
  }
}

export interface TcpRelay extends Relay {
  /** Connections stay and nothing passes, until it is called with false. */
  freeze(frozen: boolean): void
}

/** Passes bytes on, whatever they are. */
export async function startTcpRelay(scope: Scope, port: number): Promise<TcpRelay> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let isFrozen = false
  const server = createServer((socket) => {
    const pair = [socket, connect(port, '127.0.0.1')] as const
    pairs.add(pair)
    socket.on('close', () => pairs.delete(pair))
    join(...pair)
    if (isFrozen) freeze(true)
  })
  const freeze = (frozen: boolean) => {
    isFrozen = frozen
    for (const [one, other] of pairs) {
      if (frozen) {
        one.unpipe(other).pause()
        other.unpipe(one).pause()
      } else {
        one.pipe(other).pipe(one)
      }
    }
  }
  return Object.assign(await listening(scope, server), { freeze })
}

/** Ends TLS, as the API server would, and speaks HTTP/1.1 only. */
export async function startHttp1Front(scope: Scope, server: ApiServer): Promise<Relay> {
  const front = createTlsServer({ ...server.identity, ALPNProtocols: ['http/1.1'] }, (incoming, response) => {
    const { method, headers } = incoming
    const upstream = request(`${server.url}${incoming.url}`, { method, headers, ca: server.identity.cert }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      response.flushHeaders()
      answer.pipe(response)
    })
    upstream.on('error', () => response.destroy())
    response.on('close', () => upstream.destroy())
    incoming.pipe(upstream)
  })
  return await listening(scope, front)
}

export interface ConnectProxy extends Relay {
  /** Where it was asked to connect to. */
  readonly targets: ReadonlySet<string>
}

/** An HTTP proxy that knows CONNECT alone, for those who know its password. */
export async function startConnectProxy(scope: Scope, password: string): Promise<ConnectProxy> {
  const targets = new Set<string>()
  const expected = `Basic ${Buffer.from(`user:${password}`).toString('base64')}`
  const proxy = createPlainServer()
  proxy.on('connect', ({ headers, url = '' }, socket: Socket) => {
    if (headers['proxy-authorization'] !== expected) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    targets.add(url)
    const { hostname, port } = new URL(`http://${url}`)
    const onward = connect(Number(port), hostname, () => socket.write('HTTP/1.1 200 Connection established\r\n\r\n'))
    join(socket, onward)
  })
  const relay = await listening(scope, proxy)
  return Object.assign(relay, { targets })
}

/** By another address or through a proxy; as the administrator unless a token is given. */
export function kubeconfigBy(
  server: ApiServer,
  way: { readonly port?: number; readonly proxy?: string; readonly token?: string },
): string {
  const { port = server.port, proxy, token = server.token } = way
  const config = JSON.parse(kubeconfigOf(`https://127.0.0.1:${port}`, server.caData, 'user', token)) as {
    clusters: { cluster: object }[]
  }
  const clusters = config.clusters.map((each) => ({
    ...each,
    cluster: { ...each.cluster, ...(proxy === undefined ? {} : { 'proxy-url': proxy }) },
  }))
  return JSON.stringify({ ...config, clusters })
}
