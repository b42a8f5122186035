/** A way through an HTTP proxy: CONNECT, then whatever the connector does on the socket that comes of it. */
import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import type { buildConnector } from 'undici'

const timeoutMs = 10_000

/** @param proxy `http://user:password@proxy:3128`; with https the way to the proxy is itself encrypted */
export function tunnelled(proxy: string, connect: buildConnector.connector): buildConnector.connector {
  const { protocol, hostname, port, username, password } = new URL(proxy)
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const authorization = username === '' ? {} : { 'proxy-authorization': `Basic ${credentials}` }
  const [request, usualPort] = protocol === 'https:' ? [tlsRequest, 443] : [plainRequest, 80]

  return (options, callback) => {
    const path = `${options.hostname}:${options.port === '' ? '443' : options.port}`
    const asked = request({
      host: hostname,
      port: port === '' ? usualPort : port,
      method: 'CONNECT',
      path,
      headers: { host: path, ...authorization },
      agent: false,
      timeout: timeoutMs,
    })
    asked.once('timeout', () => asked.destroy(new Error(`the proxy ${hostname} did not answer within ${timeoutMs} ms`)))
    asked.once('error', (error) => callback(error, null))
    asked.once('connect', ({ statusCode = 0 }, socket) => {
      socket.setTimeout(0)
      if (statusCode >= 200 && statusCode < 300) return connect({ ...options, httpSocket: socket }, callback)
      socket.destroy()
      callback(new Error(`the proxy ${hostname} refuses to connect to ${path} (${statusCode})`), null)
    })
    asked.end()
  }
}
