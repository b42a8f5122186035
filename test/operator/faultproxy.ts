/**
 * A proxy in front of an API server, with faults from a seed. Like the API server it speaks HTTP/2 over TLS, so that a fault of a
 * connection hits every request and watch on it. It answers 410, 429 and 500. It resets streams, also in the middle of a line. It
 * lets watches fall silent before it resets them. It sends GOAWAY, cuts connections, repeats events, swaps neighbours, and delays
 * lists. Swapped events are written at once, since a reader that resumes after the later of two events rightly never sees the
 * earlier.
 */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { constants, createSecureServer, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import { request } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scope } from '../support/scope.ts'
import type { ApiServer } from '../support/serveraccess.ts'

export interface FaultProxy {
  readonly url: string
  /** PEM of what its certificate is checked with. */
  readonly ca: string
  /** Faults end. Requests under way are cut once more. */
  calm(): void
  /** Misdeeds by name. */
  readonly done: ReadonlyMap<string, number>
  /** The most connections at once, for longer than a moment; those that were asked to go do not count. */
  readonly mostConnections: number
}

const overlapMs = 250

export async function startFaultProxy(scope: Scope, server: ApiServer, random: () => number): Promise<FaultProxy> {
  const done = new Map<string, number>()
  const sockets = new Set<Socket>()
  /** Connections that were not asked to go. */
  const current = new Set<Http2Session>()
  let mostConnections = 0
  let calm = false
  const did = (what: string) => done.set(what, (done.get(what) ?? 0) + 1)
  const reset = (stream: ServerHttp2Stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  /** Destroying a session alone leaves its socket open while something is still to be written. */
  const cut = (session: Http2Session | undefined) => {
    const port = session?.socket?.remotePort
    session?.destroy()
    for (const socket of sockets) if (socket.remotePort === port) socket.destroy()
  }
  const begin = (stream: ServerHttp2Stream, status: number) => {
    if (!stream.destroyed && !stream.closed) stream.respond({ ':status': status, 'content-type': 'application/json' })
  }

  function refuse(stream: ServerHttp2Stream, code: number, reason: string): void {
    did(String(code))
    begin(stream, code)
    stream.end(
      JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: 'as the proxy will' }),
    )
  }

  function pass(stream: ServerHttp2Stream, method: string, path: string, isWatch: boolean): void {
    // Nobody would read the answer, and its connection would stay.
    if (stream.destroyed || stream.closed) return
    const headers = { authorization: `Bearer ${server.token}`, accept: 'application/json' }
    const upstream = request(`${server.url}${path}`, { method, headers, ca: server.identity.cert }, (answer) => {
      begin(stream, answer.statusCode ?? 502)
      answer.on('error', () => reset(stream))
      if (isWatch) relay(answer, stream)
      else answer.pipe(stream)
    })
    upstream.on('error', () => reset(stream))
    stream.on('close', () => upstream.destroy())
    upstream.end()
  }

  function relay(answer: IncomingMessage, stream: ServerHttp2Stream): void {
    let rest = ''
    let held: string | undefined
    let silent = false
    const write = (text: string) => {
      if (!stream.destroyed && !stream.closed) stream.write(text)
    }
    answer.setEncoding('utf8')
    answer.on('end', () => stream.end(held ?? ''))
    answer.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) send(`${line}\n`)
    })
    function fallSilent(then: () => void): void {
      silent = true
      then()
    }
    function send(line: string): void {
      if (silent) return
      if (held !== undefined) {
        write(line + held)
        held = undefined
        did('swapped')
        return
      }
      const fate = calm || line.includes('BOOKMARK') ? 1 : random()
      if (fate < 0.05) {
        did('reset')
        fallSilent(() => reset(stream))
      } else if (fate < 0.08) {
        did('torn')
        write(line.slice(0, Math.ceil(line.length * random())))
        // Either as a fault, or as a regular end.
        fallSilent(() => (random() < 0.5 ? reset(stream) : stream.end()))
      } else if (fate < 0.16) {
        did('stalled')
        const ms = 100 + 900 * random()
        fallSilent(() => void setTimeout(() => reset(stream), ms))
      } else if (fate < 0.19) {
        did('connection cut')
        fallSilent(() => cut(stream.session))
      } else if (fate < 0.32) {
        did('repeated')
        write(line + line)
      } else if (fate < 0.47) held = line
      else write(line)
    }
  }

  async function serve(stream: ServerHttp2Stream, method: string, path: string): Promise<void> {
    stream.on('error', () => undefined)
    const { session } = stream
    const isWatch = new URL(path, 'http://x').searchParams.get('watch') === 'true'
    const fate = calm ? 1 : random()
    if (fate < 0.07) return refuse(stream, 500, 'InternalError')
    if (fate < 0.14) return refuse(stream, 429, 'TooManyRequests')
    if (fate < 0.24 && isWatch) return refuse(stream, 410, 'Expired')
    if (fate < 0.28) {
      did('hung up')
      return reset(stream)
    }
    if (fate < 0.3) {
      did('connection cut')
      return cut(session)
    }
    if (fate < 0.33 && session !== undefined) {
      did('goaway')
      current.delete(session)
      // It may serve accepted requests for a while.
      session.goaway()
      setTimeout(() => cut(session), 500 * random())
    }
    if (!isWatch && !calm && random() < 0.4) {
      did('slow list')
      await sleep(600 * random())
    }
    pass(stream, method, path, isWatch)
  }

  const proxy = createSecureServer({ ...server.identity })
  proxy.on('session', (session) => {
    current.add(session)
    const open = () => [...current].filter(({ closed, destroyed }) => !closed && !destroyed)
    // On a loaded machine the end of a connection arrives here after the beginning of the next one.
    const together = open()
    setTimeout(() => {
      const left = open()
      mostConnections = Math.max(mostConnections, together.filter((each) => left.includes(each)).length)
    }, overlapMs).unref()
    session.on('error', () => undefined)
    session.on('close', () => current.delete(session))
  })
  proxy.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  proxy.on(
    'stream',
    (stream: ServerHttp2Stream, headers) => void serve(stream, headers[':method'] ?? 'GET', headers[':path'] ?? '/'),
  )
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const cutAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  scope.after(async () => {
    cutAll()
    await new Promise((resolve) => proxy.close(resolve))
  })
  return {
    url: `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    ca: server.identity.cert,
    calm() {
      calm = true
      cutAll()
    },
    done,
    get mostConnections() {
      return mostConnections
    },
  }
}
