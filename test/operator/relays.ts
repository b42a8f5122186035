/** Proxies between the operator and an API server, and the connections that they see. */
import { once } from 'node:events'
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, request } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { kubeconfigOf } from '../support/kubeclient.ts'
import type { Scope } from '../support/scope.ts'
import type { ApiServer } from '../support/serveraccess.ts'

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

/** Ends TLS, as the API server would, and speaks HTTP/1.1 only. Without TLS it is what `kubectl proxy` is. */
export async function startHttp1Front(scope: Scope, server: ApiServer, { isPlain = false } = {}): Promise<Relay> {
  const answer = (incoming: IncomingMessage, response: ServerResponse) => {
    const { method } = incoming
    // If the `host` header were passed on, the TLS client would ask the server for that name.
    const { host: _, ...headers } = incoming.headers
    const upstream = request(`${server.url}${incoming.url}`, { method, headers, ca: server.identity.cert }, (upper) => {
      response.writeHead(upper.statusCode ?? 502, upper.headers)
      response.flushHeaders()
      upper.pipe(response)
    })
    upstream.on('error', () => response.destroy())
    response.on('close', () => upstream.destroy())
    incoming.pipe(upstream)
  }
  const tls = { ...server.identity, ALPNProtocols: ['http/1.1'] }
  return await listening(scope, isPlain ? createPlainServer(answer) : createTlsServer(tls, answer))
}

export interface ConnectProxy extends Relay {
  /** Where it was asked to connect to. */
  readonly targets: ReadonlySet<string>
}

interface ProxyOptions {
  /** That of the user `user`; undefined: all may use it. */
  readonly password?: string
  /** The port on loopback to which it connects, whatever it is asked for; default: where it is asked to. */
  readonly to?: number
  /** The way to it is encrypted with this certificate. */
  readonly identity?: { readonly key: string; readonly cert: string }
}

/** An HTTP proxy that knows CONNECT alone. */
export async function startConnectProxy(scope: Scope, options: ProxyOptions = {}): Promise<ConnectProxy> {
  const { password, to, identity } = options
  const targets = new Set<string>()
  const expected = password === undefined ? undefined : `Basic ${Buffer.from(`user:${password}`).toString('base64')}`
  const proxy = identity === undefined ? createPlainServer() : createTlsServer(identity)
  proxy.on('connect', ({ headers, url = '' }, socket: Socket) => {
    if (headers['proxy-authorization'] !== expected) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    targets.add(url)
    const { hostname, port } = new URL(`http://${url}`)
    const onward = to === undefined ? connect(Number(port), hostname) : connect(to, '127.0.0.1')
    onward.once('connect', () => socket.write('HTTP/1.1 200 Connection established\r\n\r\n'))
    join(socket, onward)
  })
  const relay = await listening(scope, proxy)
  return Object.assign(relay, { targets })
}

/** A SOCKS5 proxy (RFC 1928), each message of which comes in two pieces. */
export async function startSocksProxy(scope: Scope, options: Omit<ProxyOptions, 'identity'> = {}): Promise<ConnectProxy> {
  const { password, to } = options
  const targets = new Set<string>()
  const proxy = createServer(async (socket) => {
    try {
      if (!(await loggedIn(socket, password))) return void socket.end()
      const target = await targetOf(socket)
      targets.add(target)
      const { hostname, port } = new URL(`http://${target}`)
      const onward = to === undefined ? connect(Number(port), hostname) : connect(to, '127.0.0.1')
      await once(onward, 'connect')
      await inPieces(socket, [5, 0, 0, 1, 127, 0, 0, 1, 0, 0])
      join(socket, onward)
    } catch {
      // The client left, or asked for what cannot be reached.
      socket.destroy()
    }
  })
  const relay = await listening(scope, proxy)
  return Object.assign(relay, { targets })
}

async function loggedIn(socket: Socket, password: string | undefined): Promise<boolean> {
  const [, count = 0] = await take(socket, 2)
  const offered = [...(await take(socket, count))]
  const wanted = password === undefined ? 0 : 2
  if (!offered.includes(wanted)) {
    await inPieces(socket, [5, 255])
    return false
  }
  await inPieces(socket, [5, wanted])
  if (password === undefined) return true
  await take(socket, 1)
  const [user, secret] = [await textOf(socket), await textOf(socket)]
  const isKnown = user === 'user' && secret === password
  await inPieces(socket, [1, isKnown ? 0 : 1])
  return isKnown
}

/** As a URL has it. */
async function targetOf(socket: Socket): Promise<string> {
  const [, , , kind = 0] = await take(socket, 4)
  const ipv6 = async () => `[${(await take(socket, 16)).toString('hex').replace(/....(?!$)/g, '$&:')}]`
  const host = kind === 3 ? await textOf(socket) : kind === 1 ? [...(await take(socket, 4))].join('.') : await ipv6()
  return new URL(`http://${host}:${(await take(socket, 2)).readUInt16BE()}`).host
}

const textOf = async (socket: Socket): Promise<string> => (await take(socket, (await take(socket, 1))[0] ?? 0)).toString()

async function take(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const taken = socket.read(count) as Buffer | null
    if (taken !== null) return taken
    if (socket.destroyed || socket.readableEnded) throw new Error('the client left')
    await Promise.race([once(socket, 'readable'), once(socket, 'close')])
  }
}

async function inPieces(socket: Socket, message: readonly number[]): Promise<void> {
  socket.write(Buffer.from(message.slice(0, 1)))
  await sleep(5)
  socket.write(Buffer.from(message.slice(1)))
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
