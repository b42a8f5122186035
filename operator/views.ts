/**
 * The operator's views: one reflector for each kind and namespace, or for each kind in the whole cluster. A view may fail alone: its
 * namespace is missing or forbidden, its kind is not installed, or its list gets an error 500. The others go on, and this view recovers
 * by itself.
 *
 *   Filling ──listed──▶ Lit ──watch fails for 15 s──▶ Dark (known: the last state stands) ──watch opens──▶ Lit
 *      └──refused three times, or silent for 15 s──▶ Dark (nothing is known) ──listed──▶ Lit
 */
import { failure, type StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import type { KubernetesObject, ResourceType } from './kubernetes/objects.ts'
import { createReflector, type Reflector, type Trouble } from './kubernetes/reflector.ts'
import type { MutableStore } from './kubernetes/store.ts'
import type { Transport } from './kubernetes/transport.ts'
import { podMonitorType } from './plan/kinds.ts'
import type { DarkKind } from './plan/observed.ts'

export interface DarkView extends DarkKind {
  readonly plural: string
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined
}

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

interface View {
  readonly type: ResourceType
  readonly namespace: string | undefined
  readonly reflector: Reflector
  dark: DarkView | undefined
}

/** Refusals in a row after which a view that was never filled is dark. */
const patience = 3
/** Longest time for a first list, or for an interruption of a watch. */
const patienceMs = 15_000
/** A status rests on nothing older. */
const staleMs = 3_000
/** When an API server comes back, its watches open one after another: a delay within this time is not reported. */
const recoveryMs = 5_000

export function createViews(options: ViewsOptions): Views {
  const { transport, clock, onChange } = options
  const views: View[] = []
  const settled = Promise.withResolvers<void>()
  let ranMs: number | undefined
  let recoveredMs = Number.NEGATIVE_INFINITY
  let cancelRecovery = () => {}

  /** Called at each report of trouble, at least every fifteen seconds while it lasts. */
  function judge(view: View, trouble: Trouble | undefined): void {
    const { type, namespace, reflector } = view
    const known = reflector.synced
    const isDark = trouble !== undefined && (known ? clock.now() - trouble.sinceMs >= patienceMs : trouble.attempt >= patience)
    if (isDark === (view.dark !== undefined) && view.dark?.error.code === trouble?.error.code && view.dark?.known === known)
      return
    if (!isDark && view.dark === undefined) return
    view.dark = isDark ? told(type, namespace, known, trouble.error) : undefined
    if (!isDark) recover()
    onChange(type, namespace, view.dark)
    settle()
  }

  function recover(): void {
    recoveredMs = clock.now()
    for (const { reflector } of views) reflector.hurry()
    cancelRecovery()
    cancelRecovery = clock.after(recoveryMs, () => {
      for (const { type, namespace, dark } of views) if (dark !== undefined) onChange(type, namespace, dark)
    })
  }

  function isSilent({ reflector, dark }: View): boolean {
    return !reflector.synced && dark === undefined && ranMs !== undefined && clock.now() - ranMs >= patienceMs
  }

  const isSettled = () => views.every((view) => view.reflector.synced || view.dark !== undefined || isSilent(view))

  function settle(): void {
    if (isSettled()) settled.resolve()
  }

  function darkOf(view: View): DarkView | undefined {
    const { type, namespace, reflector } = view
    if (view.dark !== undefined || !isSilent(view)) return view.dark
    const detail = 'the first list has not been answered'
    const error = reflector.trouble?.error ?? failure('KubernetesUnreachable', { detail })
    return told(type, namespace, false, error)
  }

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
        onTrouble: (trouble) => judge(view, trouble),
        onRewound: options.onRewound,
      },
      store,
    )
    const view: View = { type, namespace, reflector, dark: undefined }
    views.push(view)
    void reflector.whenSynced.then(settle)
  }

  function darkIn(namespace: string): readonly DarkKind[] {
    const dark = views.map((view) => ({ view, dark: darkOf(view) }))
    // If all views are dark, or were a moment ago, the API server was away. That is no finding about this namespace.
    const isGeneral = dark.every((each) => each.dark !== undefined) || clock.now() - recoveredMs < recoveryMs
    const told = dark.filter((each) => covers(each.view, namespace)).map((each) => each.dark)
    return told.filter((each) => each !== undefined).filter((each) => !each.known || !isGeneral)
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
    dark: () => views.map(darkOf).filter((each) => each !== undefined),
    darkIn,
    isCurrent(namespace) {
      const dark = darkIn(namespace)
      return views
        .filter((view) => covers(view, namespace) && !isOptional(view.type))
        .filter(({ type }) => !dark.some(({ kind }) => kind === type.kind))
        .every(({ reflector: { behindSinceMs } }) => behindSinceMs === undefined || clock.now() - behindSinceMs < staleMs)
    },
    states: () =>
      views.map((view) => ({
        kind: view.type.kind,
        namespace: view.namespace ?? '',
        filled: view.reflector.synced,
        lit: view.reflector.synced && view.dark === undefined,
      })),
    relist() {
      for (const { reflector } of views) reflector.relist()
    },
    async run(signal) {
      ranMs = clock.now()
      const cancel = clock.after(patienceMs, settle)
      await Promise.all(views.map(({ reflector }) => reflector.run(signal)))
      cancel()
      cancelRecovery()
      settled.resolve()
    },
  }
}

function covers({ namespace }: View, other: string): boolean {
  return namespace === undefined || namespace === other
}

/** The definition of PodMonitor may be installed later, or never. */
function isOptional(type: ResourceType): boolean {
  return type === podMonitorType
}

function told(
  { kind, plural }: ResourceType,
  namespace: string | undefined,
  known: boolean,
  error: StreamPipelineError,
): DarkView {
  return { kind, plural, namespace, known, subject: namespace === undefined ? plural : `${plural} in ${namespace}`, error }
}
