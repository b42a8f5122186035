/**
 * HTTP to the API server. client-node makes a TLS connection per request; here a few connections live as long as the process
 * (connectionpool.ts).
 */
import type { Dispatcher } from 'undici'
import { systemTimer } from '../../process/timer.ts'
import { createConnectionPool } from './connectionpool.ts'
import { type Connections, OnlyHttp1, type WatchPlace } from './connections.ts'
import type { CredentialSource } from './credentials.ts'
import { networkFailure, statusFailure } from './errors.ts'
import type { KubernetesObject } from './objects.ts'

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

interface KubernetesRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Query
  readonly body?: unknown
  /** Of the body. Default: JSON. */
  readonly contentType?: 'application/json' | 'application/apply-patch+yaml' | 'application/merge-patch+json'
  readonly signal?: AbortSignal
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: KubernetesObject }
  | { readonly type: 'ERROR'; readonly object: unknown }

export interface Transport {
  /** The parsed answer. Throws the catalogue's Kubernetes… errors. */
  request(request: KubernetesRequest): Promise<unknown>
  /**
   * Ends when the server closes the stream. Throws when the stream breaks, when the server refuses it, or when the signal aborts.
   * @param onOpen called when the server has accepted the watch
   */
  watch(path: string, query: Query, signal: AbortSignal, onOpen?: () => void): AsyncIterable<WatchEvent>
  /** Ends every connection; open watches break. Idempotent. */
  close(): Promise<void>
}

interface TransportOptions {
  /** Called for each answer, for rest_client_requests_total; code 0: no answer came. */
  readonly onResponse?: (method: string, code: number) => void
  /** Of one request, from sending to its last byte. */
  readonly timeoutMs?: number
}

export function createTransport(source: CredentialSource, options: TransportOptions = {}): Transport {
  const timeoutMs = options.timeoutMs ?? 30_000
  const onResponse = options.onResponse ?? (() => {})
  const pool = createConnectionPool(source, timeoutMs)

  /** @param through chooses the connection. It is called again if the first answer was OnlyHttp1 */
  async function send(request: KubernetesRequest, through: (c: Connections) => Dispatcher, signal: AbortSignal) {
    const current = await pool.credentials()
    const body = request.body === undefined ? undefined : JSON.stringify(request.body)
    const options: Dispatcher.RequestOptions = {
      origin: current.server,
      method: request.method,
      path: withQuery(request.path, request.query),
      headers: {
        ...current.headers,
        accept: 'application/json',
        'user-agent': 'streampipeline-operator',
        ...(body === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
      signal,
    }
    const attempt = async () => await through(pool.connectionsFor(current)).request(options)
    const again = (thrown: unknown) => {
      if (!(thrown instanceof OnlyHttp1)) throw thrown
      pool.speaksHttp1(current.server)
      return attempt()
    }
    const response = await unlessAborted(attempt().catch(again), signal)
    onResponse(request.method, response.statusCode)
    if (response.statusCode === 401) pool.distrust(current)
    return response
  }

  return {
    async request(request) {
      // `AbortSignal.timeout` would live until its time: at a start, thousands of them outlive their requests.
      const deadline = new AbortController()
      const cancel = systemTimer(timeoutMs, () => deadline.abort(new DOMException('no answer in time', 'TimeoutError')))
      const signal = request.signal === undefined ? deadline.signal : AbortSignal.any([deadline.signal, request.signal])
      let code = 0
      try {
        const response = await send(request, (c) => c.requests, signal)
        code = response.statusCode
        const answer = parse(await response.body.text())
        if (code >= 400) throw statusFailure(code, answer, operationOf(request), pauseAsked(response))
        return answer
      } catch (thrown) {
        if (code === 0 && request.signal?.aborted !== true) onResponse(request.method, 0)
        throw networkFailure(thrown, pool.server ?? 'the API server', request.signal)
      } finally {
        cancel()
      }
    },

    async *watch(path, query, signal, onOpen = () => {}) {
      const request: KubernetesRequest = { method: 'GET', path, query: { ...query, watch: true } }
      let place: WatchPlace | undefined
      const claimed = (from: Connections) => {
        place?.release()
        place = from.claim()
        return place.dispatcher
      }
      try {
        const response = await send(request, claimed, signal)
        if (response.statusCode >= 400)
          throw statusFailure(response.statusCode, parse(await response.body.text()), operationOf(request), pauseAsked(response))
        onOpen()
        let rest = ''
        response.body.setEncoding('utf8')
        for await (const chunk of response.body as AsyncIterable<string>) {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) if (line !== '') yield JSON.parse(line) as WatchEvent
        }
      } catch (thrown) {
        throw networkFailure(thrown, pool.server ?? 'the API server', signal)
      } finally {
        place?.release()
      }
    },

    close: pool.close,
  }
}

/** undici heeds the signal only once the request has a connection: what still waits for one is given up here. */
async function unlessAborted(work: Promise<Dispatcher.ResponseData>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  const aborted = Promise.withResolvers<never>()
  const abort = () => {
    aborted.reject(signal.reason)
    // No caller waits for the response any more. Its body must not emit an unhandled error.
    void work.then(discard, () => undefined)
  }
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function discard({ body }: Dispatcher.ResponseData): void {
  body.on('error', () => undefined)
  body.destroy()
}

function withQuery(path: string, query: Query | undefined): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value))
  const text = parameters.toString()
  return text === '' ? path : `${path}?${text}`
}

/** Undefined where a proxy answered with something that is not JSON; the HTTP code then says what it was. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** In seconds. API servers do not send the form as a date. */
function pauseAsked({ headers }: Dispatcher.ResponseData): number | undefined {
  const seconds = Number(headers['retry-after'] ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined
}

function operationOf(request: KubernetesRequest): string {
  const parts = request.path.split('/').filter((part) => part !== '')
  return `${request.method} ${parts.slice(parts[0] === 'api' ? 2 : 3).join('/')}`
}
