/**
 * A simulated API server in simulated time: objects with versions, server-side apply, watches. Its network is slow, loses replies, breaks
 * watches and is down, as the history of a run has it.
 */
import { failure } from '../../../api/errors.ts'
import { statusFailure } from '../../../operator/kubernetes/errors.ts'
import { type KubernetesObject, keyOf } from '../../../operator/kubernetes/objects.ts'
import type { Transport, WatchEvent } from '../../../operator/kubernetes/transport.ts'
import { applied, patched, updated } from './fields.ts'
import { epochMs, type Time } from './time.ts'

export interface Stored extends KubernetesObject {
  readonly spec?: unknown
  readonly status?: unknown
  readonly data?: Readonly<Record<string, string>>
}

/** The network between an operator and the server; the history changes it. */
export interface Network {
  down: boolean
  /** Watches are refused, of one kind or of all. */
  unwatched: string | undefined
  /** Requests get no answer. Watches that are open go on. */
  hangs: boolean
  /** Added to each write, at most. */
  slowMs: number
  /** `errors`: the share of requests that fail with 500 or 503. `lost`: the share of writes whose reply is lost. */
  errors: number
  lost: number
}

type Method = Parameters<Transport['request']>[0]['method']

export interface Request {
  readonly method: Method
  readonly plural: string
  readonly namespace: string
  readonly name: string
  readonly subresource: string
  readonly body: unknown
  readonly query: Readonly<Record<string, unknown>>
}

interface Parts {
  readonly time: Time
  readonly random: () => number
  /** Throws for a request that is refused. */
  readonly admit: (request: Request) => void
  /** The answer to a SelfSubjectAccessReview. */
  readonly mayWrite: () => boolean
  /** The request leaves the operator. */
  readonly onSent: (request: Request) => void
  /** Any object changed. */
  readonly onChange: (plural: string, object: Stored | undefined, before: Stored | undefined) => void
}

interface LoggedEvent {
  readonly version: number
  readonly plural: string
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: Stored
}

export interface ApiServer {
  readonly network: Network
  get(plural: string, key: string): Stored | undefined
  list(plural: string): readonly Stored[]
  create(plural: string, object: Stored): Stored
  /** A merge patch by another writer. */
  change(plural: string, key: string, patch: object, manager?: string): Stored | undefined
  setStatus(plural: string, key: string, status: unknown): void
  remove(plural: string, key: string): void
  breakWatches(plural?: string): void
  /** Watches that begin before this moment get 410. */
  compact(): void
  transport(alive: () => boolean): Transport
}

const requestMs = 30_000

export function createApiServer({ time, random, admit, mayWrite, onSent, onChange }: Parts): ApiServer {
  const kinds = new Map<string, Map<string, Stored>>()
  const log: LoggedEvent[] = []
  const watches = new Set<{ readonly plural: string; readonly notify: (event: LoggedEvent) => void; readonly cut: () => void }>()
  const network: Network = { down: false, unwatched: undefined, hangs: false, slowMs: 0, errors: 0, lost: 0 }
  let version = 1
  let oldest = 0
  let uids = 0
  const between = (low: number, high: number) => low + (high - low) * random()
  const stamp = () => new Date(epochMs + time.nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
  const of = (plural: string) => {
    const held = kinds.get(plural) ?? new Map<string, Stored>()
    kinds.set(plural, held)
    return held
  }

  function put(plural: string, object: Stored, before: Stored | undefined): Stored {
    if (before !== undefined && isSame(before, object)) return before
    version += 1
    const isChanged = JSON.stringify(before?.spec) !== JSON.stringify(object.spec)
    const generation = (before?.metadata.generation ?? 0) + (isChanged || before === undefined ? 1 : 0)
    const stored: Stored = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: before?.metadata.uid ?? `uid-${++uids}`,
        creationTimestamp: before?.metadata.creationTimestamp ?? stamp(),
        resourceVersion: String(version),
        ...(plural === 'configmaps' || plural === 'pods' || plural === 'secrets' ? {} : { generation }),
      },
    }
    of(plural).set(keyOf(stored), stored)
    announce({ version, plural, type: before === undefined ? 'ADDED' : 'MODIFIED', object: stored })
    onChange(plural, stored, before)
    return stored
  }

  function announce(event: LoggedEvent): void {
    log.push(event)
    for (const watch of watches) if (watch.plural === event.plural) watch.notify(event)
  }

  function remove(plural: string, key: string): void {
    const before = of(plural).get(key)
    if (before === undefined) return
    version += 1
    of(plural).delete(key)
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } }
    announce({ version, plural, type: 'DELETED', object })
    onChange(plural, undefined, before)
  }

  function answer(request: Request): unknown {
    const { method, plural, namespace, name, subresource, query } = request
    const operation = `${method} ${plural}/${name}`
    const key = `${namespace}/${name}`
    const body = request.body as Stored
    if (plural === 'selfsubjectaccessreviews') return { status: { allowed: mayWrite() } }
    if (plural === 'events' && method !== 'GET') return {}
    if (method === 'GET' && name === '')
      return { items: plural === 'events' ? [] : [...of(plural).values()], metadata: { resourceVersion: String(version) } }
    const live = of(plural).get(key)
    const missing = () =>
      statusFailure(404, { code: 404, reason: 'NotFound', message: `${plural} "${name}" not found` }, operation)
    if (method === 'GET') {
      if (live === undefined) throw missing()
      return live
    }
    admit(request)
    const conflict = () => statusFailure(409, { code: 409, reason: 'Conflict', message: 'Precondition failed: UID' }, operation)
    if (query['dryRun'] !== undefined) return body
    if (method === 'DELETE') {
      const { preconditions } = (body ?? {}) as { preconditions?: { uid?: string } }
      if (live === undefined) throw missing()
      if (preconditions?.uid !== undefined && preconditions.uid !== live.metadata.uid) throw conflict()
      remove(plural, key)
      return {}
    }
    const uid = body.metadata.uid
    if (uid !== undefined && live?.metadata.uid !== uid) throw live === undefined && subresource !== '' ? missing() : conflict()
    const expected = body.metadata.resourceVersion
    if (live !== undefined && expected !== undefined && expected !== live.metadata.resourceVersion) throw conflict()
    if (subresource === 'status') {
      if (live === undefined) throw missing()
      return put(plural, { ...live, status: body.status }, live)
    }
    if (query['force'] === true) {
      const after = applied(live, body, String(query['fieldManager']), stamp()) as Stored
      return put(plural, live === undefined ? after : { ...after, status: live.status }, live)
    }
    if (live === undefined) throw missing()
    return put(plural, patched(live, body) as Stored, live)
  }

  function transport(alive: () => boolean): Transport {
    const late = () => (random() < 0.95 ? between(1, 30) : between(30, 400))
    return {
      request: ({ method, path, query = {}, body, signal }) =>
        new Promise((resolve, reject) => {
          const settle = (call: () => void) => {
            if (!alive()) return
            signal?.removeEventListener('abort', abort)
            cancel()
            call()
          }
          const abort = () => settle(() => reject(signal?.reason))
          const unreachable = () => reject(failure('KubernetesUnreachable', { detail: 'no answer' }))
          const cancel = time.at(requestMs, () => settle(unreachable))
          if (signal?.aborted === true) return abort()
          signal?.addEventListener('abort', abort, { once: true })
          const request: Request = { ...parsed(path), method, body, query }
          onSent(request)
          const isWrite = method !== 'GET'
          if (network.down) {
            if (random() < 0.7) time.at(between(1, 50), () => settle(unreachable))
            return
          }
          if (network.hangs) return
          const fate = random()
          time.at(late() + (isWrite ? between(0.3, 1) * network.slowMs : 0), () => {
            if (network.down || network.hangs || signal?.aborted === true) return
            if (fate < network.errors) return void time.at(late(), () => settle(() => reject(errorOf(fate < network.errors / 2))))
            const outcome = attempt(request)
            const isLost = isWrite && fate > 1 - network.lost
            if (!isLost) time.at(late(), () => settle(() => outcome(resolve, reject)))
          })
        }),
      async *watch(path, query, signal, onOpen = () => {}) {
        const { plural } = parsed(path)
        const queue: (LoggedEvent | Error)[] = []
        let wake = () => {}
        let lastMs = 0
        const deliver = (event: LoggedEvent | Error, ms: number) => {
          lastMs = Math.max(lastMs, time.nowMs + ms)
          time.at(lastMs - time.nowMs, () => {
            if (!alive()) return
            queue.push(event)
            wake()
          })
        }
        const end = () => wake()
        signal.addEventListener('abort', end, { once: true })
        const broken = failure('KubernetesUnreachable', { detail: 'the watch broke' })
        const watch = { plural, notify: (event: LoggedEvent) => deliver(event, late()), cut: () => deliver(broken, 0) }
        await new Promise<void>((resolve) => time.at(late(), () => (alive() ? resolve() : undefined)))
        if (signal.aborted) throw signal.reason
        if (network.down) throw broken
        if (network.unwatched === plural || network.unwatched === '*')
          throw statusFailure(403, { code: 403, reason: 'Forbidden', message: `User cannot watch ${plural}` }, `WATCH ${plural}`)
        const from = Number(query['resourceVersion'] ?? 0)
        if (from < oldest)
          throw statusFailure(410, { code: 410, reason: 'Expired', message: 'too old resource version' }, `WATCH ${plural}`)
        onOpen()
        for (const event of log) if (event.plural === plural && event.version > from) deliver(event, late())
        watches.add(watch)
        try {
          while (!signal.aborted) {
            const event = queue.shift()
            if (event instanceof Error) throw event
            if (event !== undefined) yield { type: event.type, object: event.object } satisfies WatchEvent
            else
              await new Promise<void>((resolve) => {
                wake = resolve
              })
          }
          throw signal.reason
        } finally {
          watches.delete(watch)
          signal.removeEventListener('abort', end)
        }
      },
      close: async () => {},
    }
  }

  function attempt(request: Request): (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void {
    try {
      const value = answer(request)
      return (resolve) => resolve(value)
    } catch (thrown) {
      return (_resolve, reject) => reject(thrown)
    }
  }

  return {
    network,
    get: (plural, key) => of(plural).get(key),
    list: (plural) => [...of(plural).values()],
    create: (plural, object) => put(plural, object, undefined),
    change(plural, key, patch, manager = 'kubectl') {
      const live = of(plural).get(key)
      return live && put(plural, updated(live, patch, manager, stamp()), live)
    },
    setStatus(plural, key, status) {
      const live = of(plural).get(key)
      if (live !== undefined) put(plural, { ...live, status }, live)
    },
    remove,
    breakWatches(plural) {
      for (const watch of [...watches]) if (plural === undefined || watch.plural === plural) watch.cut()
    },
    compact() {
      oldest = version
    },
    transport,
  }
}

function isSame(before: Stored, after: Stored): boolean {
  const [a, b] = [before, after].map(({ metadata, ...rest }) => {
    const { resourceVersion: _, generation: __, ...kept } = metadata
    return JSON.stringify([kept, rest])
  })
  return a === b
}

function errorOf(isBusy: boolean) {
  return statusFailure(
    isBusy ? 503 : 500,
    { code: isBusy ? 503 : 500, message: isBusy ? 'the server is overloaded' : 'etcdserver: request timed out' },
    'x',
  )
}

function parsed(path: string): Omit<Request, 'method' | 'body' | 'query'> {
  const parts = path.split('/').filter((part) => part !== '')
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3)
  const [namespace, [plural = '', name = '', subresource = '']] =
    rest[0] === 'namespaces' ? [rest[1] ?? '', rest.slice(2)] : ['', rest]
  return { plural, namespace, name, subresource }
}
