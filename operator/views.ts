/**
 * The operator's views: one reflector for each kind and namespace, or for each kind in the whole cluster. A view may fail alone, and the
 * others go on (view.ts).
 */
import type { StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import type { WatchOutage } from './kubernetes/lag.ts'
import type { KubernetesObject, ResourceType } from './kubernetes/objects.ts'
import { createReflector, type Reflector } from './kubernetes/reflector.ts'
import type { MutableStore } from './kubernetes/store.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { DarkKind } from './plan/observed.ts'
import { covers, type DarkView, darkOf, isOptional, isSilent, judge, patienceMs, type View } from './view.ts'

export interface Views {
  add<T extends KubernetesObject>(type: ResourceType, store: MutableStore<T>, labelSelector?: string): void
  /** Every view was listed, except those of optional kinds. */
  readonly synced: boolean
  /** Each view was listed, or is known to be dark. */
  readonly settled: boolean
  /** Resolves when all views are settled. */
  whenSettled(): Promise<void>
  /** Whether that kind was ever listed in that namespace. */
  isKnown(type: ResourceType, namespace: string): boolean
  dark(): readonly DarkView[]
  /** Dark kinds in that namespace; none while the API server as a whole fails. */
  darkIn(namespace: string): readonly DarkKind[]
  /** Whether all that is known of that namespace is at most some seconds old, or known to be older (`darkIn`). */
  isCurrent(namespace: string): boolean
  /** For metrics: each view, and whether it is lit. */
  states(): readonly ViewState[]
  /** Lists all views anew. */
  relist(): void
  run(signal: AbortSignal): Promise<void>
}

interface ViewState {
  readonly kind: string
  /** Empty: all namespaces. */
  readonly namespace: string
  readonly lit: boolean
  /** The view was listed once. */
  readonly filled: boolean
}

interface ViewsOptions {
  readonly transport: Transport
  readonly clock: Clock
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[]
  readonly onBackoff: (type: ResourceType, error: StreamPipelineError | undefined, attempt: number) => void
  /** A view became dark, or lit again (`dark` undefined). */
  readonly onChange: (type: ResourceType, namespace: string | undefined, dark: DarkView | undefined) => void
  readonly onRewound: () => void
}

/** A status rests on nothing older. */
const staleMs = 3_000
/** When an API server comes back, its watches open one after another: a delay within this time is not reported. */
const recoveryMs = 5_000

export function createViews(options: ViewsOptions): Views {
  const { transport, clock, onChange } = options
  const views: View[] = []
  const settled = Promise.withResolvers<void>()
  let ranMs: number | undefined
  const reportDark = () => {
    for (const { type, namespace, dark } of views) if (dark !== undefined) onChange(type, namespace, dark)
  }
  const recovery = createRecovery(clock, reportDark)
  let wasAway = false

  function onOutage(view: View, outage: WatchOutage | undefined): void {
    const isChanged = judge(view, outage, clock.now())
    if (isChanged && view.dark === undefined) {
      for (const { reflector } of views) reflector.hurry()
      recovery.begin()
    }
    const isStillAway = isAway(views, darkNow)
    // Lists are answered again, and watches are not: the findings about all namespaces change.
    if (wasAway && !isStillAway && !recovery.isRecent()) reportDark()
    wasAway = isStillAway
    if (!isChanged) return
    onChange(view.type, view.namespace, view.dark)
    settle()
  }

  const isSettled = () =>
    views.every((view) => view.reflector.synced || view.dark !== undefined || isSilent(view, ranMs, clock.now()))

  function settle(): void {
    if (isSettled()) settled.resolve()
  }

  const darkNow = (view: View) => darkOf(view, ranMs, clock.now())

  function addOne<T extends KubernetesObject>(
    type: ResourceType,
    store: MutableStore<T>,
    namespace: string | undefined,
    labelSelector: string | undefined,
  ): void {
    const reflector: Reflector = createReflector<T>(
      {
        transport,
        clock,
        type,
        ...(namespace === undefined ? {} : { namespace }),
        ...(labelSelector === undefined ? {} : { labelSelector }),
        onBackoff: (error, attempt) => options.onBackoff(type, error, attempt),
        onOutage: (outage) => onOutage(view, outage),
        onRewound: options.onRewound,
      },
      store,
    )
    const view: View = { type, namespace, reflector, dark: undefined }
    views.push(view)
    void reflector.whenSynced.then(settle)
  }

  function darkIn(namespace: string): readonly DarkKind[] {
    const dark = views.map((view) => ({ view, dark: darkNow(view) }))
    const isGeneral = isAway(views, darkNow) || recovery.isRecent()
    const here = dark.filter((each) => covers(each.view, namespace)).map((each) => each.dark)
    return here.filter((each) => each !== undefined).filter((each) => !each.known || !isGeneral)
  }

  return {
    add(type, store, labelSelector) {
      const namespaces = options.namespaces.length === 0 ? [undefined] : options.namespaces
      for (const namespace of namespaces) addOne(type, store, namespace, labelSelector)
    },
    get synced() {
      return views.every(({ type, reflector }) => reflector.synced || isOptional(type))
    },
    get settled() {
      return isSettled()
    },
    whenSettled: () => settled.promise,
    isKnown: (type, namespace) => views.some((view) => view.type === type && covers(view, namespace) && view.reflector.synced),
    dark: () => views.map(darkNow).filter((each) => each !== undefined),
    darkIn,
    isCurrent: (namespace) => isCurrent(views, namespace, darkIn(namespace), clock.now()),
    states: () => views.map(stateOf),
    relist() {
      for (const { reflector } of views) reflector.relist()
    },
    async run(signal) {
      ranMs = clock.now()
      const cancel = clock.after(patienceMs, settle)
      await Promise.all(views.map(({ reflector }) => reflector.run(signal)))
      cancel()
      recovery.cancel()
      settled.resolve()
    },
  }
}

/** The API server as a whole fails: it answers no lists either. */
function isAway(views: readonly View[], darkNow: (view: View) => DarkView | undefined): boolean {
  return views.every((view) => darkNow(view) !== undefined && view.reflector.answeredForMs < patienceMs)
}

function isCurrent(views: readonly View[], namespace: string, dark: readonly DarkKind[], nowMs: number): boolean {
  return views
    .filter((view) => covers(view, namespace) && !isOptional(view.type))
    .filter(({ type }) => !dark.some(({ kind }) => kind === type.kind))
    .every(({ reflector: { behindSinceMs } }) => behindSinceMs === undefined || nowMs - behindSinceMs < staleMs)
}

function stateOf({ type, namespace, reflector, dark }: View): ViewState {
  const filled = reflector.synced
  return { kind: type.kind, namespace: namespace ?? '', filled, lit: filled && dark === undefined }
}

/** The time after a view became lit again. */
interface Recovery {
  begin(): void
  isRecent(): boolean
  cancel(): void
}

/** @param onOver called when the time is over and `begin` was not called again */
function createRecovery(clock: Pick<Clock, 'now' | 'after'>, onOver: () => void): Recovery {
  let begunMs = Number.NEGATIVE_INFINITY
  let cancel = () => {}
  return {
    begin() {
      begunMs = clock.now()
      cancel()
      cancel = clock.after(recoveryMs, onOver)
    },
    isRecent: () => clock.now() - begunMs < recoveryMs,
    cancel: () => cancel(),
  }
}
