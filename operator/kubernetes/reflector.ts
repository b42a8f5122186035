/**
 * Keeps a store equal to the API server: list, then watch, for as long as the signal allows. The states are in reflectorstates.ts.
 *
 * A watch names the version it starts after, so no event is missed between two watches. Bookmarks keep that version young for a quiet
 * kind. Only a version that the server no longer has (410) requires a new list. After any other failure the reflector waits, longer each
 * time and with jitter, and goes on.
 *
 * An etcd restored from a backup goes back in time. A watch that resumes from a newer version would never get the versions below it. So
 * before a watch resumes after an interruption, a list of one object asks the server for its version. An older version than ours requires
 * a new list. A caller that notices the restore elsewhere calls `relist`.
 */
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import { type Backoff, backoffMs } from '../../process/backoff.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { retryAfterMs, statusFailure } from './errors.ts'
import { createLag, type WatchOutage } from './lag.ts'
import { listAll, type Selection, selectorsOf, typed, versionNow } from './listing.ts'
import { compareVersions, type KubernetesObject, type ResourceType, resourcePath } from './objects.ts'
import { none, type ReflectorSignal, type ReflectorState, transition } from './reflectorstates.ts'
import type { MutableStore } from './store.ts'
import type { Transport, WatchEvent } from './transport.ts'

export interface Reflector {
  readonly state: ReflectorState
  /** Undefined while lists are answered and the watch is open. */
  readonly outage: WatchOutage | undefined
  /** For how long lists have been answered while the watch fails. */
  readonly answeredForMs: number
  /** Since when the store may differ from the server, by the clock of the options; undefined: the watch follows. */
  readonly behindSinceMs: number | undefined
  /** True once a list has been taken in whole; stays true. */
  readonly synced: boolean
  /** Resolves at the first complete list, or when the reflector stops. */
  readonly whenSynced: Promise<void>
  /** Lists anew at once, in any state. */
  relist(): void
  /** Ends a wait early: the server answers other requests again. */
  hurry(): void
  /** Runs until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
}

interface ReflectorOptions extends Selection {
  readonly transport: Transport
  readonly clock: Clock
  readonly onBackoff?: (error: StreamPipelineError | undefined, attempt: number) => void
  /** An outage began, changed or ended. */
  readonly onOutage?: (outage: WatchOutage | undefined) => void
  /** The server's version went back. */
  readonly onRewound?: () => void
}

type Watching = Extract<ReflectorState, { kind: 'Watching' }>

/** As kube-rs: below the API server's own limit of 300–600 s, so that the server, not a proxy, ends the watch. */
const watchSeconds = 290
const idleMarginMs = 20_000
/** Shorter than client-go's 30 s. A decision on a cache that old is a surprise, and a request every few seconds is not. */
const interruption: Backoff = { baseMs: 200, maxMs: 4_000 }
/** A missing namespace, right or kind may appear later, but seldom within seconds. */
const refusal: Backoff = { baseMs: 200, maxMs: 15_000 }
/** The longest `Retry-After` that is heeded. */
const longestHeededMs = 60_000

export function createReflector<T extends KubernetesObject>(options: ReflectorOptions, store: MutableStore<T>): Reflector {
  const { transport, clock, type } = options
  let state: ReflectorState = { kind: 'Empty' }
  let synced = false
  const sync = Promise.withResolvers<void>()
  const lag = createLag(clock, options.onOutage)
  const versions = createVersions(options.onRewound)
  let relisting = false
  /** Aborts the current step when a new list is required. */
  let turn = new AbortController()

  function enter(signal: ReflectorSignal): void {
    state = transition(state, signal)
    if (state.kind === 'Watching') versions.note(state.resourceVersion)
    if (signal.kind === 'Heard') lag.heard()
    if (signal.kind === 'Failed') lag.failed(signal.error, (state.kind === 'Backoff' ? state : none).attempt)
  }

  async function list(signal: AbortSignal): Promise<void> {
    const floor = versions.newest
    const { objects, resourceVersion } = await lag.answering(listAll<T>(transport, options, signal))
    versions.isRewound(resourceVersion, floor)
    store.replace(objects, options.namespace)
    synced = true
    enter({ kind: 'Listed', resourceVersion })
    lag.listed()
    sync.resolve()
  }

  async function watch({ resourceVersion, attempt }: Watching, signal: AbortSignal): Promise<void> {
    const floor = versions.newest
    if (attempt > 0 && versions.isRewound(await lag.answering(versionNow(transport, options, signal)), floor)) {
      enter({ kind: 'Relist' })
      return
    }
    lag.opening()
    for await (const event of openWatch(options, resourceVersion, lag.opened, signal)) {
      const heard = take(event, type, store)
      if (heard !== undefined) enter({ kind: 'Heard', resourceVersion: heard })
    }
    lag.closed()
    enter({ kind: 'Ended' })
  }

  async function step(signal: AbortSignal): Promise<void> {
    switch (state.kind) {
      case 'Empty':
        return enter({ kind: 'Start' })
      case 'Listing':
        return await list(signal)
      case 'Watching':
        return await watch(state, signal)
      case 'Backoff':
        options.onBackoff?.(state.cause, state.attempt)
        await pause(waitOf(state.cause, state.attempt, clock.random()), signal, clock.after)
        return enter({ kind: 'Waited' })
      default:
        throw state satisfies never
    }
  }

  return {
    get state() {
      return state
    },
    get answeredForMs() {
      return lag.answeredForMs
    },
    get behindSinceMs() {
      return lag.behindSinceMs
    },
    get synced() {
      return synced
    },
    whenSynced: sync.promise,
    get outage() {
      return lag.outage
    },
    relist() {
      relisting = true
      turn.abort()
    },
    hurry() {
      if (state.kind === 'Backoff') turn.abort()
    },
    async run(signal) {
      while (!signal.aborted) {
        turn = new AbortController()
        try {
          await step(AbortSignal.any([signal, turn.signal]))
        } catch (thrown) {
          if (signal.aborted) break
          if (!relisting) enter({ kind: 'Failed', error: watchTimedOut(thrown) ?? asFailure(thrown) })
        }
        if (relisting) enter({ kind: 'Relist' })
        relisting = false
      }
      sync.resolve()
    },
  }
}

/** Returns the version of the event. */
function take<T extends KubernetesObject>(event: WatchEvent, type: ResourceType, store: MutableStore<T>): string | undefined {
  if (event.type === 'ERROR')
    throw statusFailure((event.object as { code?: number }).code ?? 500, event.object, `WATCH ${type.plural}`)
  if (event.type === 'ADDED' || event.type === 'MODIFIED') store.set(typed<T>(event.object, type))
  else if (event.type === 'DELETED') store.remove(typed<T>(event.object, type))
  return event.object.metadata.resourceVersion
}

/** Yields the events of a watch. It fails when the watch has been silent for longer than the server may leave it open. */
async function* openWatch(
  { transport, clock, ...selection }: ReflectorOptions,
  resourceVersion: string,
  opened: () => () => void,
  signal: AbortSignal,
): AsyncIterable<WatchEvent> {
  const silence = new AbortController()
  const cancel = clock.after(watchSeconds * 1000 + idleMarginMs, () =>
    silence.abort(new DOMException('a watch fell silent', 'TimeoutError')),
  )
  const path = resourcePath(selection.type, selection.namespace)
  const query = { ...selectorsOf(selection), resourceVersion, allowWatchBookmarks: true, timeoutSeconds: watchSeconds }
  let ended = () => {}
  try {
    yield* transport.watch(path, query, AbortSignal.any([signal, silence.signal]), () => {
      ended = opened()
    })
  } finally {
    cancel()
    ended()
  }
}

interface Versions {
  /** The newest version that the server reported. */
  readonly newest: string
  note(version: string): void
  /** @param version of a fresh answer, which cannot be older than `floor` unless the server went back */
  isRewound(version: string, floor: string): boolean
}

function createVersions(onRewound: () => void = () => {}): Versions {
  let newest = ''
  return {
    get newest() {
      return newest
    },
    note(version) {
      if (compareVersions(version, newest) > 0) newest = version
    },
    isRewound(version, floor) {
      if (version === '' || floor === '' || compareVersions(version, floor) >= 0) return false
      newest = ''
      onRewound()
      return true
    },
  }
}

function waitOf(cause: StreamPipelineError | undefined, attempt: number, random: number): number {
  const isRefused = cause?.code === 'KubernetesForbidden' || cause?.code === 'KubernetesNotFound'
  const waitMs = backoffMs(attempt, isRefused ? refusal : interruption, random)
  return Math.max(waitMs, Math.min(longestHeededMs, cause === undefined ? 0 : (retryAfterMs(cause) ?? 0)))
}

/** Our own limit on a silent watch: the connection is presumed dead. */
function watchTimedOut(thrown: unknown): StreamPipelineError | undefined {
  if (!(thrown instanceof DOMException) || thrown.name !== 'TimeoutError') return undefined
  return statusFailure(504, { message: 'a watch fell silent beyond its time limit' }, 'WATCH')
}
