/**
 * The namespaces that this release of the operator serves, and those that it leaves to another release. Two releases that both wrote
 * would undo each other's work for ever. In each served namespace a Lease `streampipeline-operator-scope` names the release that serves
 * it (`namespace/lease` of its leader election). The first release renews it. The other stands back, and takes over after a minute
 * without a renewal. Both releases need rights in the namespace to see each other. The states of a namespace are in scope.ts.
 *
 * A Lease makes clocks irrelevant: times count from the moment when its change was seen. The leader of a release renews; its standbys
 * only watch. A release for the whole cluster takes Leases only in namespaces with pipelines.
 */
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import { isFailure } from './kubernetes/errors.ts'
import { claimed, type Lease, leaseType } from './kubernetes/lease.ts'
import { resourcePath, splitKey } from './kubernetes/objects.ts'
import { createReflector, type Reflector } from './kubernetes/reflector.ts'
import { createStore, type MutableStore } from './kubernetes/store.ts'
import type { Transport } from './kubernetes/transport.ts'
import { heard, isDue, isHeld, isSame, judged, mostFailures, refused, type Scope, type Standing, unknownScope } from './scope.ts'

export const scopeLeaseName = 'streampipeline-operator-scope'

export interface Scopes {
  standing(namespace: string): Standing
  /** The namespace has a pipeline. */
  want(namespace: string): void
  /** Number of namespaces that this release might serve. */
  readonly wanted: number
  /** Namespaces that other releases serve. */
  theirs(): readonly { readonly namespace: string; readonly holder: string }[]
  relist(): void
  /** Watches until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
  /** Takes and renews Leases until the signal aborts; never rejects. */
  lead(signal: AbortSignal): Promise<void>
}

interface ScopesOptions {
  readonly transport: Transport
  readonly clock: Clock
  /** Empty: all. */
  readonly namespaces: readonly string[]
  /** This release: the operator's namespace and the name of its own Lease. */
  readonly release: string
  readonly durationMs?: number
  /** The standing of a namespace changed. */
  readonly onChange: (namespace: string, standing: Standing) => void
}

const defaultDurationMs = 60_000
const turnMs = 1_000
/** Most renewals a second. With more namespaces each Lease is renewed less often, and lasts longer. */
const renewalsPerSecond = 5
const writesAtOnce = 8

/** The scopes by namespace, of which each change of standing is reported. */
interface ScopeTable {
  get(namespace: string): Scope
  set(namespace: string, scope: Scope): void
  delete(namespace: string): void
  entries(): readonly (readonly [namespace: string, scope: Scope])[]
}

function createScopeTable(onChange: ScopesOptions['onChange']): ScopeTable {
  const scopes = new Map<string, Scope>()
  const get = (namespace: string) => scopes.get(namespace) ?? unknownScope
  return {
    get,
    set(namespace, scope) {
      const before = get(namespace).standing
      scopes.set(namespace, scope)
      if (!isSame(before, scope.standing)) onChange(namespace, scope.standing)
    },
    delete: (namespace) => void scopes.delete(namespace),
    entries: () => [...scopes],
  }
}

/** Follows the Leases of the named namespaces, or of all if none is named. */
function createLeaseWatch({ transport, clock, namespaces }: ScopesOptions, store: MutableStore<Lease>) {
  const fieldSelector = `metadata.name=${scopeLeaseName}`
  const reflectors: readonly Reflector[] = (namespaces.length === 0 ? [undefined] : namespaces).map((namespace) =>
    createReflector<Lease>({ transport, clock, type: leaseType, ...(namespace && { namespace }), fieldSelector }, store),
  )
  return {
    /** The Leases were listed, or their list was refused. */
    isReadable(namespace: string): boolean {
      const reflector = namespaces.length === 0 ? reflectors[0] : reflectors[namespaces.indexOf(namespace)]
      return reflector === undefined || reflector.synced || (reflector.outage?.attempt ?? 0) >= mostFailures
    },
    relist() {
      for (const reflector of reflectors) reflector.relist()
    },
    async run(signal: AbortSignal) {
      await Promise.all(reflectors.map((reflector) => reflector.run(signal)))
    },
  }
}

/** Writes one Lease after another. */
function createClaims(options: ScopesOptions, scopes: ScopeTable, wanted: Set<string>, store: MutableStore<Lease>) {
  const { transport, clock, namespaces, release } = options
  const durationMs = () => Math.max(options.durationMs ?? defaultDurationMs, (4_000 * wanted.size) / renewalsPerSecond)
  const labels = { 'app.kubernetes.io/managed-by': 'streampipeline-operator' }

  async function write(namespace: string, signal: AbortSignal): Promise<void> {
    const before = scopes.get(namespace).seen?.lease
    const wantedLease = { namespace, name: scopeLeaseName, identity: release, leaseMs: durationMs(), labels }
    const body = claimed(before, wantedLease, clock.wall())
    const startedMs = clock.now()
    try {
      const path = resourcePath(leaseType, namespace, before === undefined ? undefined : scopeLeaseName)
      const method = before === undefined ? 'POST' : 'PUT'
      store.set((await transport.request({ method, path, body, signal })) as Lease)
      const written = { ...scopes.get(namespace), writtenMs: startedMs, failures: 0 }
      scopes.set(namespace, judged(written, release, clock.now()))
    } catch (thrown) {
      if (signal.aborted) return
      // The namespace is gone. A pipeline in a new one of that name calls `want` again.
      if (before === undefined && namespaces.length === 0 && isFailure(thrown, 'KubernetesNotFound')) {
        wanted.delete(namespace)
        scopes.delete(namespace)
        return
      }
      const failed = refused(scopes.get(namespace), thrown, startedMs, durationMs())
      const isUnclaimed = failed.standing.kind === 'Unclaimed'
      scopes.set(namespace, isUnclaimed ? { ...failed, writtenMs: clock.now() } : failed)
    }
  }

  return {
    /** Judges the scope anew. */
    isDue(namespace: string): boolean {
      const scope = judged(scopes.get(namespace), release, clock.now())
      scopes.set(namespace, scope)
      return isDue(scope, clock.now(), durationMs())
    },
    async write(due: string[], signal: AbortSignal): Promise<void> {
      const worker = async () => {
        for (let next = due.shift(); next !== undefined && !signal.aborted; next = due.shift()) await write(next, signal)
      }
      await Promise.all(Array.from({ length: writesAtOnce }, worker))
    },
  }
}

export function createScopes(options: ScopesOptions): Scopes {
  const { clock, release } = options
  const scopes = createScopeTable(options.onChange)
  const wanted = new Set<string>(options.namespaces)
  /** Ends the pause between two turns. */
  let wake = () => {}

  const store = createStore<Lease>({
    handlers: [
      (change) => {
        const { namespace } = splitKey(change.key)
        const lease = change.kind === 'Removed' ? undefined : change.object
        const repeated = change.kind === 'Set' && change.resync
        const scope = heard(scopes.get(namespace), lease, repeated, clock.now())
        scopes.set(namespace, judged(scope, release, clock.now()))
        wake()
      },
    ],
  })
  const watch = createLeaseWatch(options, store)
  const claims = createClaims(options, scopes, wanted, store)

  return {
    standing: (namespace) => scopes.get(namespace).standing,
    want(namespace) {
      if (wanted.has(namespace)) return
      wanted.add(namespace)
      wake()
    },
    get wanted() {
      return wanted.size
    },
    theirs: () =>
      scopes.entries().flatMap(([namespace, scope]) => {
        const { standing } = scope
        const counts = standing.kind === 'Theirs' && isHeld(scope, clock.now()) && wanted.has(namespace)
        return counts ? [{ namespace, holder: standing.holder }] : []
      }),
    relist: watch.relist,
    run: watch.run,
    async lead(signal) {
      while (!signal.aborted) {
        const nap = new AbortController()
        wake = () => nap.abort()
        // By the Leases that the watch delivered. Without a watch the API server refuses a stale write.
        const due = [...wanted].filter((namespace) => claims.isDue(namespace) && watch.isReadable(namespace))
        await claims.write(due, signal)
        await pause(turnMs, AbortSignal.any([signal, nap.signal]), clock.after)
      }
    },
  }
}
