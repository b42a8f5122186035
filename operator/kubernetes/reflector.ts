/**
 * Keeps a store equal to the API server: list, then watch, for as long as the signal allows.
 *
 *   Empty ──Start──▶ Listing ──Listed──▶ Watching ──Ended/Failed──▶ Backoff ──Waited──▶ Watching (from where it was)
 *                       ▲  └──Failed──▶ Backoff ──Waited──▶ Listing      │
 *                       └───────────────── Expired (410) ◀───────────────┘
 *
 * A watch names the version it starts after, so no event is missed between two watches. Bookmarks keep that version young for a quiet
 * kind. Only a version that the server no longer has (410) requires a new list. After any other failure the reflector waits, longer each
 * time and with jitter, and goes on; an event resets the wait. A watch that the server closes after events is reopened at once.
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
import { compareVersions, type KubernetesObject, type ResourceType, resourcePath, withoutManagedFields } from './objects.ts'
import type { MutableStore } from './store.ts'
import type { Query, Transport, WatchEvent } from './transport.ts'

export type ReflectorState =
  | { readonly kind: 'Empty' }
  | ({ readonly kind: 'Listing' } & Misfortunes)
  | ({ readonly kind: 'Watching'; readonly resourceVersion: string; readonly heard: boolean } & Misfortunes)
  /** `resourceVersion` absent: list again afterwards. */
  | ({
      readonly kind: 'Backoff'
      readonly cause: StreamPipelineError | undefined
      readonly resourceVersion?: string
    } & Misfortunes)

/** In a row, since an event was heard last. */
interface Misfortunes {
  readonly attempt: number
  /** Times the version was gone. */
  readonly expiries: number
}

export type ReflectorSignal =
  | { readonly kind: 'Start' }
  | { readonly kind: 'Listed'; readonly resourceVersion: string }
  | { readonly kind: 'Heard'; readonly resourceVersion: string }
  | { readonly kind: 'Ended' }
  | { readonly kind: 'Failed'; readonly error: StreamPipelineError }
  | { readonly kind: 'Waited' }
  /** The server went back to an earlier state. */
  | { readonly kind: 'Relist' }

const none: Misfortunes = { attempt: 0, expiries: 0 }
/** A version that is gone is ordinary, and listed anew at once; a list whose version is always gone must not spin. */
const patience = 2

/** The one transition function; signals that make no sense in a state leave it as it is. */
export function transition(state: ReflectorState, signal: ReflectorSignal): ReflectorState {
  switch (signal.kind) {
    case 'Start':
      return state.kind === 'Empty' ? { kind: 'Listing', ...none } : state
    case 'Listed':
      if (state.kind !== 'Listing') return state
      return { kind: 'Watching', resourceVersion: signal.resourceVersion, heard: false, attempt: 0, expiries: state.expiries }
    case 'Heard':
      return state.kind === 'Watching'
        ? { kind: 'Watching', resourceVersion: signal.resourceVersion, heard: true, ...none }
        : state
    case 'Ended':
      if (state.kind !== 'Watching') return state
      if (state.heard) return { ...state, heard: false }
      return backoff(state, undefined, state.expiries, state.resourceVersion)
    case 'Failed': {
      if (state.kind === 'Empty') return backoff(none, signal.error, 0)
      if (signal.error.code !== 'KubernetesExpired') {
        return backoff(state, signal.error, state.expiries, state.kind === 'Watching' ? state.resourceVersion : undefined)
      }
      const expiries = state.expiries + 1
      return expiries <= patience ? { kind: 'Listing', attempt: state.attempt, expiries } : backoff(state, signal.error, expiries)
    }
    case 'Waited': {
      if (state.kind !== 'Backoff') return state
      const { attempt, expiries, resourceVersion } = state
      if (resourceVersion === undefined) return { kind: 'Listing', attempt, expiries }
      return { kind: 'Watching', resourceVersion, heard: false, attempt, expiries }
    }
    case 'Relist':
      return state.kind === 'Empty' ? state : { kind: 'Listing', ...none }
    default:
      throw signal satisfies never
  }
}

function backoff(
  { attempt }: Pick<Misfortunes, 'attempt'>,
  cause: StreamPipelineError | undefined,
  expiries: number,
  resourceVersion?: string,
): ReflectorState {
  return { kind: 'Backoff', attempt: attempt + 1, expiries, cause, ...(resourceVersion === undefined ? {} : { resourceVersion }) }
}

/** The reason why the store differs, or may differ, from the server. */
export interface Trouble {
  readonly error: StreamPipelineError
  /** By the clock of the options. */
  readonly sinceMs: number
  readonly attempt: number
}

export interface Reflector {
  readonly state: ReflectorState
  /** Undefined while lists are answered and the watch is open. */
  readonly trouble: Trouble | undefined
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

interface ReflectorOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly type: ResourceType
  /** Undefined: all namespaces. */
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly onBackoff?: (error: StreamPipelineError | undefined, attempt: number) => void
  /** Trouble began, changed or ended. */
  readonly onTrouble?: (trouble: Trouble | undefined) => void
  /** The server's version went back. */
  readonly onRewound?: () => void
}

type Watching = Extract<ReflectorState, { kind: 'Watching' }>

interface Page {
  readonly items?: readonly KubernetesObject[]
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
}

/** Less than the customary 500: all kinds are listed at once, and what a page leaves behind stays the process's memory. */
const pageSize = 200
/** As kube-rs: below the API server's own limit of 300–600 s, so that the server, not a proxy, ends the watch. */
const watchSeconds = 290
const idleMarginMs = 20_000
/** The server sends the events of an interruption within that time after the watch is open again. */
const catchingUpMs = 1_000
/** Shorter than client-go's 30 s: what is decided on an old cache for so long is a surprise, and a request every few seconds is not. */
const interruption: Backoff = { baseMs: 200, maxMs: 4_000 }
/** A missing namespace, right or kind may appear later, but seldom within seconds. */
const refusal: Backoff = { baseMs: 200, maxMs: 15_000 }
/** The longest `Retry-After` that is heeded. */
const longestHeededMs = 60_000

export function createReflector<T extends KubernetesObject>(options: ReflectorOptions, store: MutableStore<T>): Reflector {
  const { transport, clock, type } = options
  const path = resourcePath(type, options.namespace)
  const selectors: Query = { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector }
  let state: ReflectorState = { kind: 'Empty' }
  let synced = false
  const sync = Promise.withResolvers<void>()
  let trouble: Trouble | undefined
  /** The newest version that the server reported. */
  let newest = ''
  let relisting = false
  /** The server refused the last watch, or it broke. */
  let watchFailed = false
  let behindSinceMs: number | undefined
  /** Aborts the current step when a new list is required. */
  let turn = new AbortController()

  function enter(signal: ReflectorSignal): void {
    state = transition(state, signal)
    if (state.kind === 'Watching' && compareVersions(state.resourceVersion, newest) > 0) newest = state.resourceVersion
    if (signal.kind === 'Heard') well()
    if (signal.kind === 'Failed') behindSinceMs ??= clock.now()
    if (signal.kind === 'Failed' && signal.error.code !== 'KubernetesExpired') {
      const { attempt } = state.kind === 'Backoff' ? state : none
      trouble = { error: signal.error, sinceMs: trouble?.sinceMs ?? clock.now(), attempt }
      options.onTrouble?.(trouble)
    }
  }

  function well(): void {
    if (trouble === undefined) return
    trouble = undefined
    options.onTrouble?.(undefined)
  }

  /** @param version of a fresh answer, which cannot be older than `floor` unless the server went back */
  function isRewound(version: string, floor: string): boolean {
    if (version === '' || floor === '' || compareVersions(version, floor) >= 0) return false
    newest = ''
    options.onRewound?.()
    return true
  }

  async function isHistoryAnother(signal: AbortSignal): Promise<boolean> {
    const floor = newest
    const page = (await transport.request({ method: 'GET', path, query: { ...selectors, limit: 1 }, signal })) as Page
    return isRewound(page.metadata?.resourceVersion ?? '', floor)
  }

  /** The items of a list carry no apiVersion and kind; events do. */
  function named(object: KubernetesObject): T {
    return { ...object, apiVersion: type.apiVersion, kind: type.kind } as unknown as T
  }

  async function list(signal: AbortSignal): Promise<void> {
    const found: T[] = []
    let next: string | undefined
    let resourceVersion = ''
    const floor = newest
    do {
      const query = { ...selectors, limit: pageSize, continue: next }
      const page = (await transport.request({ method: 'GET', path, query, signal })) as Page
      for (const item of page.items ?? []) found.push(withoutManagedFields(named(item)))
      resourceVersion = page.metadata?.resourceVersion ?? resourceVersion
      next = page.metadata?.continue
    } while (next !== undefined && next !== '')
    isRewound(resourceVersion, floor)
    const failedToList = state.kind === 'Listing' && trouble !== undefined && !watchFailed
    store.replace(found, options.namespace)
    synced = true
    enter({ kind: 'Listed', resourceVersion })
    // If the watch is the failing part, only an open watch ends the trouble.
    if (failedToList) well()
    sync.resolve()
  }

  async function watch({ resourceVersion, attempt }: Watching, signal: AbortSignal): Promise<void> {
    if (attempt > 0 && (await isHistoryAnother(signal))) {
      enter({ kind: 'Relist' })
      return
    }
    const silence = new AbortController()
    const cancel = clock.after(watchSeconds * 1000 + idleMarginMs, () =>
      silence.abort(new DOMException('a watch fell silent', 'TimeoutError')),
    )
    const query = { ...selectors, resourceVersion, allowWatchBookmarks: true, timeoutSeconds: watchSeconds }
    watchFailed = true
    let cancelCaughtUp = () => {}
    const opened = () => {
      well()
      cancelCaughtUp = clock.after(catchingUpMs, () => {
        behindSinceMs = undefined
      })
    }
    try {
      for await (const event of transport.watch(path, query, AbortSignal.any([signal, silence.signal]), opened)) take(event)
    } finally {
      cancel()
      cancelCaughtUp()
    }
    watchFailed = false
    enter({ kind: 'Ended' })
  }

  function take(event: WatchEvent): void {
    if (event.type === 'ERROR')
      throw statusFailure((event.object as { code?: number }).code ?? 500, event.object, `WATCH ${type.plural}`)
    if (event.type === 'ADDED' || event.type === 'MODIFIED') store.set(named(event.object))
    else if (event.type === 'DELETED') store.remove(named(event.object))
    const { resourceVersion } = event.object.metadata
    if (resourceVersion !== undefined) enter({ kind: 'Heard', resourceVersion })
  }

  async function step(signal: AbortSignal): Promise<void> {
    switch (state.kind) {
      case 'Empty':
        enter({ kind: 'Start' })
        return
      case 'Listing':
        return await list(signal)
      case 'Watching':
        return await watch(state, signal)
      case 'Backoff': {
        options.onBackoff?.(state.cause, state.attempt)
        await pause(waitOf(state.cause, state.attempt, clock.random()), signal, clock.after)
        enter({ kind: 'Waited' })
        return
      }
      default:
        throw state satisfies never
    }
  }

  return {
    get state() {
      return state
    },
    get behindSinceMs() {
      return behindSinceMs
    },
    get synced() {
      return synced
    },
    whenSynced: sync.promise,
    get trouble() {
      return trouble
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
