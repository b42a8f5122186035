/** A way through a proxy: a tunnel by CONNECT or SOCKS5, then TLS to the API server on the socket that comes of it. */
import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { getCACertificates } from 'node:tls'
import type { buildConnector } from 'undici'
import type { Credentials } from './credentials.ts'
import { bare } from './proxies.ts'
import { throughSocks } from './socks.ts'

const timeoutMs = 10_000

type Tls = Credentials['tls']

/** @param proxy `http://user:password@proxy:3128`; with https the way to the proxy is itself encrypted; or `socks5://` */
export function tunnelled(proxy: string, tls: Tls, connect: buildConnector.connector): buildConnector.connector {
  const url = new URL(proxy)
  const open = url.protocol.startsWith('socks') ? throughSocksProxy(url) : throughHttpProxy(url, tls)
  return (options, callback) => {
    const isPlain = options.protocol !== 'https:'
    const port = options.port === '' ? (isPlain ? 80 : 443) : Number(options.port)
    open(bare(options.hostname), port).then(
      (socket) => (isPlain ? callback(null, socket) : connect({ ...options, httpSocket: socket }, callback)),
      (error: Error) => callback(error, null),
    )
  }
}

type Way = (host: string, port: number) => Promise<Socket>

function throughSocksProxy({ hostname, port, username, password }: URL): Way {
  const proxy = {
    host: bare(hostname),
    port: port === '' ? 1080 : Number(port),
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    timeoutMs,
  }
  return (host, targetPort) => throughSocks(proxy, { host, port: targetPort })
}

function throughHttpProxy({ protocol, hostname, port, username, password }: URL, tls: Tls): Way {
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const authorization = username === '' ? {} : { 'proxy-authorization': `Basic ${credentials}` }
  const [request, usualPort] = protocol === 'https:' ? [tlsRequest, 443] : [plainRequest, 80]
  const trust = protocol === 'https:' ? trustedBy(tls) : {}
  const proxy = bare(hostname)

  return (host, targetPort) =>
    new Promise((settle, refuse) => {
      const path = `${host.includes(':') ? `[${host}]` : host}:${targetPort}`
      const asked = request({
        host: proxy,
        port: port === '' ? usualPort : port,
        method: 'CONNECT',
        path,
        headers: { host: path, ...authorization },
        agent: false,
        timeout: timeoutMs,
        ...trust,
      })
      asked.once('timeout', () => asked.destroy(new Error(`the proxy ${proxy} did not answer within ${timeoutMs} ms`)))
      asked.once('error', refuse)
      asked.once('connect', ({ statusCode = 0 }, socket: Socket) => {
        socket.setTimeout(0)
        if (statusCode >= 200 && statusCode < 300) return settle(socket)
        socket.destroy()
        refuse(new Error(`the proxy ${proxy} refuses to connect to ${path} (${statusCode})`))
      })
      // A proxy may answer CONNECT like any other request, with a body.
      asked.once('response', ({ statusCode = 0 }) => {
        asked.destroy()
        refuse(new Error(`the proxy ${proxy} refuses to connect to ${path} (${statusCode})`))
      })
      asked.end()
    })
}

/** kubectl trusts the cluster's CA for a proxy too, and checks no certificate of either where the cluster says so. */
function trustedBy({ ca, rejectUnauthorized }: Tls) {
  return {
    ...(ca === undefined ? {} : { ca: [ca, ...getCACertificates('default')] }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  }
}
