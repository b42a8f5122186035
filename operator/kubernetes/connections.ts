/**
 * The connections to one API server under one set of TLS material. Over TLS they speak HTTP/2. One connection carries all requests,
 * another all watches, so a burst of writes never waits behind long-lived streams. Left to itself, a pool would open more
 * connections after every interruption. If there are more watches than a connection has streams, one more connection is opened for watches.
 *
 * On HTTP/1.1 a request behind a watch would wait for the watch's end. So each watch has its own connection, and requests share as
 * many as they need. HTTP/1.1 is spoken without TLS, and through a proxy that ends TLS and speaks nothing newer. The latter shows
 * only once a connection is there: `OnlyHttp1`.
 */
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate, TLSSocket } from 'node:tls'
import { buildConnector, type Dispatcher, Pool } from 'undici'
import type { Credentials } from './credentials.ts'
import { tunnelled } from './tunnel.ts'

export interface Connections {
  readonly requests: Dispatcher
  /** Room for one more watch, until `release`. */
  claim(): WatchPlace
  /** Lets what is under way finish. */
  close(): Promise<void>
  /** Ends what is under way. */
  destroy(): Promise<void>
}

export type Protocol = 'h2' | 'http/1.1'

export interface WatchPlace {
  readonly dispatcher: Dispatcher
  release(): void
}

/** The failure of a request when the server does not speak HTTP/2: to be sent again on connections for HTTP/1.1. */
export class OnlyHttp1 extends Error {}

/** Below the API server's default of 100 streams per connection. */
const streamsPerConnection = 90
const headersTimeout = 30_000
/** Often nothing is sent between two renewals of the Lease. A handshake for each would cost more than the request. */
const idleMs = 300_000

/** @param timeoutMs longest silence within the answer to a request; a watch may be silent, since the server and pings show its end */
export function createConnections(credentials: Credentials, timeoutMs: number, protocol: Protocol): Connections {
  const requests = pool(credentials, timeoutMs, protocol)
  const isShared = protocol === 'h2' && credentials.server.startsWith('https:')
  const room = isShared ? streamsPerConnection : Number.POSITIVE_INFINITY
  const watches: { readonly dispatcher: Dispatcher; open: number }[] = []
  const each = async (end: (dispatcher: Dispatcher) => Promise<void>) =>
    void (await Promise.all([requests, ...watches.map(({ dispatcher }) => dispatcher)].map(end)))

  return {
    requests,
    claim() {
      let place = watches.find(({ open }) => open < room)
      if (place === undefined) {
        place = { dispatcher: pool(credentials, 0, protocol), open: 0 }
        watches.push(place)
      }
      const claimed = place
      claimed.open++
      return {
        dispatcher: claimed.dispatcher,
        release() {
          claimed.open--
        },
      }
    },
    close: () => each((dispatcher) => dispatcher.close()),
    destroy: () => each((dispatcher) => dispatcher.destroy()),
  }
}

function pool(credentials: Credentials, bodyTimeout: number, protocol: Protocol): Dispatcher {
  const { server, proxy } = credentials
  const isHttp1 = protocol === 'http/1.1' || server.startsWith('http:')
  const tls = { ...identified(credentials.tls), keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 }
  const straight = buildConnector({ ...tls, allowH2: !isHttp1 })
  const connect = proxy === undefined ? straight : tunnelled(proxy, credentials.tls, straight)
  const timeouts = { bodyTimeout, headersTimeout }
  if (isHttp1) return new Pool(server, { allowH2: false, pipelining: 1, connect, ...timeouts })
  return new Pool(server, {
    allowH2: true,
    connections: 1,
    pipelining: streamsPerConnection,
    pingInterval: 15_000,
    keepAliveTimeout: idleMs,
    connect: http2Only(connect),
    ...timeouts,
  })
}

/** A `tls-server-name` that is an address stands in the certificate, but cannot be sent as SNI. */
function identified({ servername, ...tls }: Credentials['tls']) {
  if (servername === undefined) return tls
  if (isIP(servername) === 0) return { ...tls, servername }
  return { ...tls, checkServerIdentity: (_: string, cert: PeerCertificate) => checkServerIdentity(servername, cert) }
}

function http2Only(connect: buildConnector.connector): buildConnector.connector {
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error !== null) return callback(error, null)
      if (!(socket instanceof TLSSocket) || socket.alpnProtocol === 'h2') return callback(null, socket)
      socket.destroy()
      return callback(new OnlyHttp1('the server speaks HTTP/1.1 only'), null)
    })
}
