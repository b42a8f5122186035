/**
 * The connections to the API server, as the credentials of the moment demand. They are replaced, never changed, when the CA or the client
 * certificate changes; tokens are only headers.
 */
import { failure } from '../../api/errors.ts'
import { type Connections, createConnections, type Protocol } from './connections.ts'
import type { CredentialSource, Credentials } from './credentials.ts'

interface ConnectionPool {
  credentials(): Promise<Credentials>
  /** The server of the credentials asked for last. */
  readonly server: string | undefined
  connectionsFor(current: Credentials): Connections
  /** The server speaks nothing newer. */
  speaksHttp1(server: string): void
  /** A rejected token may have been replaced already: the next request asks for credentials anew, unless another one did since. */
  distrust(refused: Credentials): void
  /** Ends every connection; open watches break. Idempotent. */
  close(): Promise<void>
}

/** Credentials are asked for again after this time: client-node reads the CA file from disk at every call. */
const credentialsMs = 10_000

export function createConnectionPool(source: CredentialSource, timeoutMs: number): ConnectionPool {
  let held: { credentials: Credentials; untilMs: number } | undefined
  let asking: Promise<Credentials> | undefined
  let connections:
    | { readonly of: readonly [Credentials, Protocol]; readonly fingerprint: string; readonly held: Connections }
    | undefined
  /** Servers found to speak nothing newer. */
  const http1Only = new Set<string>()
  const retired = new Set<Promise<void>>()
  let closed: Promise<void> | undefined

  async function ask(): Promise<Credentials> {
    const current = await source.current()
    held = { credentials: current, untilMs: performance.now() + credentialsMs }
    return current
  }

  /** Requests that come at once share one answer. */
  async function credentials(): Promise<Credentials> {
    if (held !== undefined && held.untilMs >= performance.now()) return held.credentials
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return await asking
  }

  /** Throws after the end: new connections would outlive it, and those that were destroyed cannot be retired. */
  function connectionsFor(current: Credentials): Connections {
    if (closed !== undefined) throw failure('KubernetesUnreachable', { detail: `${current.server}: the operator stops` })
    const protocol = http1Only.has(current.server) ? 'http/1.1' : 'h2'
    // Requests pass the same object for some seconds, so its PEMs are not gone through at every request.
    if (connections?.of[0] === current && connections.of[1] === protocol) return connections.held
    const of = [current, protocol] as const
    const fingerprint = JSON.stringify([current.server, current.proxy, current.tls, protocol])
    if (connections?.fingerprint === fingerprint) {
      connections = { ...connections, of }
      return connections.held
    }
    if (connections !== undefined) retire(connections.held)
    connections = { of, fingerprint, held: createConnections(current, timeoutMs, protocol) }
    return connections.held
  }

  /** Requests under way finish; watches end with their server-side time limit. */
  function retire(old: Connections): void {
    const ending = old.close().finally(() => retired.delete(ending))
    retired.add(ending)
  }

  return {
    credentials,
    get server() {
      return held?.credentials.server
    },
    connectionsFor,
    speaksHttp1: (server) => void http1Only.add(server),
    distrust(refused) {
      if (held?.credentials !== refused) return
      held = undefined
      source.distrust()
    },
    close() {
      closed ??= (async () => {
        await connections?.held.destroy()
        await Promise.all(retired)
      })()
      return closed
    },
  }
}
