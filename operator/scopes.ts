/**
 * The namespaces that this release of the operator serves, and those that it leaves to another release. Two releases that both wrote
 * would undo each other's work for ever. In each served namespace a Lease `streampipeline-operator-scope` names the release that serves
 * it (`namespace/lease` of its leader election). The first release renews it. The other stands back, and takes over after a minute
 * without a renewal. Both releases need rights in the namespace to see each other.
 *
 *   Pending ──written──▶ Mine ──another took it──▶ Theirs ──not renewed for its duration──▶ (written) Mine
 *      ├──another holds it──▶ Theirs
 *      └──cannot be written──▶ Unclaimed (served as if alone: a missing right must not stop what runs)
 *
 * A Lease makes clocks irrelevant: times count from the moment when its change was seen. The leader of a release renews; its standbys
 * only watch. A release for the whole cluster takes Leases only in namespaces with pipelines.
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import { type Lease, leaseType, microTime, takeableInMs } from './kubernetes/elector.ts'
import { isFailure } from './kubernetes/errors.ts'
import { resourcePath, splitKey } from './kubernetes/objects.ts'
import { createReflector, type Reflector } from './kubernetes/reflector.ts'
import { createStore } from './kubernetes/store.ts'
import type { Transport } from './kubernetes/transport.ts'

export const scopeLeaseName = 'streampipeline-operator-scope'

export type Standing =
  | { readonly kind: 'Pending' }
  | { readonly kind: 'Mine' }
  | { readonly kind: 'Theirs'; readonly holder: string }
  | { readonly kind: 'Unclaimed'; readonly error: StreamPipelineError }

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

/** State of one namespace. */
interface Scope {
  standing: Standing
  /** The Lease, and the time of its last change by our clock. */
  seen: { readonly lease: Lease; readonly changedAtMs: number } | undefined
  writtenMs: number
  /** Failed writes in a row. */
  failures: number
  /** After a failed renewal: the next attempt. */
  againMs: number
}

const defaultDurationMs = 60_000
const turnMs = 1_000
/** Most renewals a second. With more namespaces each Lease is renewed less often, and lasts longer. */
const renewalsPerSecond = 5
/** After so many failed writes the namespace is served without a Lease. */
const mostFailures = 3
const writesAtOnce = 8
/** Pause after a failed renewal, times the failures in a row. */
const retryMs = 2_000

export function createScopes(options: ScopesOptions): Scopes {
  const { transport, clock, namespaces, release, onChange } = options
  const scopes = new Map<string, Scope>()
  /** Ends the pause between two turns. */
  let wake = () => {}

  const store = createStore<Lease>({
    handlers: [
      (change) => {
        const { namespace } = splitKey(change.key)
        const scope = scopeOf(namespace)
        Object.assign(scope, { failures: 0, againMs: Number.NEGATIVE_INFINITY })
        if (change.kind === 'Removed') scope.seen = undefined
        // A list that repeats the Lease is no renewal.
        else if (!change.resync || scope.seen === undefined) scope.seen = { lease: change.object, changedAtMs: clock.now() }
        judge(namespace, scope)
        wake()
      },
    ],
  })
  const reflectors: readonly Reflector[] = (namespaces.length === 0 ? [undefined] : namespaces).map((namespace) =>
    createReflector<Lease>(
      {
        transport,
        clock,
        type: leaseType,
        ...(namespace === undefined ? {} : { namespace }),
        fieldSelector: `metadata.name=${scopeLeaseName}`,
      },
      store,
    ),
  )
  const wanted = new Set<string>(namespaces)

  function scopeOf(namespace: string): Scope {
    const scope = scopes.get(namespace) ?? {
      standing: { kind: 'Pending' },
      seen: undefined,
      writtenMs: Number.NEGATIVE_INFINITY,
      failures: 0,
      againMs: Number.NEGATIVE_INFINITY,
    }
    scopes.set(namespace, scope)
    return scope
  }

  function enter(namespace: string, scope: Scope, standing: Standing): void {
    const before = scope.standing
    scope.standing = standing
    const isSame = before.kind === standing.kind && holderIn(before) === holderIn(standing)
    if (!isSame) onChange(namespace, standing)
  }

  /** Sets the standing by the Lease. A Lease that may be taken counts as none. */
  function judge(namespace: string, scope: Scope): void {
    const holder = scope.seen?.lease.spec?.holderIdentity ?? ''
    if (holder === release) enter(namespace, scope, { kind: 'Mine' })
    else if (holder !== '' && scope.seen !== undefined && takeableInMs(scope.seen, clock.now()) > 0)
      enter(namespace, scope, { kind: 'Theirs', holder })
    else if (scope.standing.kind === 'Theirs') enter(namespace, scope, { kind: 'Pending' })
  }

  const durationMs = () => Math.max(options.durationMs ?? defaultDurationMs, (4_000 * wanted.size) / renewalsPerSecond)

  function claim(namespace: string, before: Lease | undefined): Lease {
    const now = microTime(clock.wall())
    const isMine = before?.spec?.holderIdentity === release
    const labels = { 'app.kubernetes.io/managed-by': 'streampipeline-operator' }
    return {
      apiVersion: leaseType.apiVersion,
      kind: leaseType.kind,
      metadata: before?.metadata ?? { name: scopeLeaseName, namespace, labels },
      spec: {
        holderIdentity: release,
        leaseDurationSeconds: Math.ceil(durationMs() / 1000),
        acquireTime: isMine ? (before?.spec?.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: (before?.spec?.leaseTransitions ?? -1) + (isMine ? 0 : 1),
      },
    }
  }

  async function write(namespace: string, scope: Scope, signal: AbortSignal): Promise<void> {
    const before = scope.seen?.lease
    const body = claim(namespace, before)
    const startedMs = clock.now()
    try {
      const path = resourcePath(leaseType, namespace, before === undefined ? undefined : scopeLeaseName)
      const method = before === undefined ? 'POST' : 'PUT'
      store.set((await transport.request({ method, path, body, signal })) as Lease)
      Object.assign(scope, { writtenMs: startedMs, failures: 0 })
      judge(namespace, scope)
    } catch (thrown) {
      if (signal.aborted) return
      // The namespace is gone. A pipeline in a new one of that name calls `want` again.
      if (before === undefined && namespaces.length === 0 && isFailure(thrown, 'KubernetesNotFound')) {
        wanted.delete(namespace)
        scopes.delete(namespace)
        return
      }
      // Another release wrote it: the watch delivers its Lease.
      const isRace = isFailure(thrown, 'KubernetesConflict')
      scope.failures += 1
      scope.againMs = startedMs + Math.min(durationMs() / 4, retryMs * scope.failures)
      const isMine = scope.standing.kind === 'Mine'
      if (!isMine && (scope.failures >= mostFailures || (!isRace && isLasting(thrown))))
        enter(namespace, scope, { kind: 'Unclaimed', error: asFailure(thrown) })
    }
  }

  function isDue({ standing, writtenMs, failures, againMs }: Scope): boolean {
    switch (standing.kind) {
      case 'Pending':
        return true
      case 'Theirs':
        return false
      case 'Mine':
        return clock.now() - writtenMs >= durationMs() / 4 && clock.now() >= againMs
      case 'Unclaimed':
        // Tries again as seldom as it would renew, so as not to load a server in trouble.
        return failures === 0 || clock.now() - writtenMs >= durationMs() / 4
      default:
        throw standing satisfies never
    }
  }

  /** Writes the Leases that are due, by those that the watch delivered. Without a watch the API server refuses a stale write. */
  async function turn(signal: AbortSignal): Promise<void> {
    const due = [...wanted].filter((namespace) => {
      const scope = scopeOf(namespace)
      judge(namespace, scope)
      return isReadable(namespace) && isDue(scope)
    })
    const worker = async () => {
      for (let namespace = due.shift(); namespace !== undefined && !signal.aborted; namespace = due.shift()) {
        const scope = scopeOf(namespace)
        await write(namespace, scope, signal)
        if (scope.standing.kind === 'Unclaimed') scope.writtenMs = clock.now()
      }
    }
    await Promise.all(Array.from({ length: writesAtOnce }, worker))
  }

  /** The Leases were listed, or their list was refused. */
  function isReadable(namespace: string): boolean {
    const reflector = namespaces.length === 0 ? reflectors[0] : reflectors[namespaces.indexOf(namespace)]
    return reflector === undefined || reflector.synced || (reflector.trouble?.attempt ?? 0) >= mostFailures
  }

  return {
    standing: (namespace) => scopes.get(namespace)?.standing ?? { kind: 'Pending' },
    want(namespace) {
      if (wanted.has(namespace)) return
      wanted.add(namespace)
      wake()
    },
    get wanted() {
      return wanted.size
    },
    theirs: () =>
      [...scopes].flatMap(([namespace, { standing, seen }]) => {
        const isHeld = seen !== undefined && takeableInMs(seen, clock.now()) > 0
        return standing.kind === 'Theirs' && isHeld && wanted.has(namespace) ? [{ namespace, holder: standing.holder }] : []
      }),
    relist() {
      for (const reflector of reflectors) reflector.relist()
    },
    async run(signal) {
      await Promise.all(reflectors.map((reflector) => reflector.run(signal)))
    },
    async lead(signal) {
      while (!signal.aborted) {
        const nap = new AbortController()
        wake = () => nap.abort()
        await turn(signal)
        await pause(turnMs, AbortSignal.any([signal, nap.signal]), clock.after)
      }
    },
  }
}

function holderIn(standing: Standing): string {
  return standing.kind === 'Theirs' ? standing.holder : ''
}

/** Errors that an immediate retry does not mend. */
function isLasting(thrown: unknown): boolean {
  return (
    isFailure(thrown, 'KubernetesForbidden') ||
    isFailure(thrown, 'KubernetesNotFound') ||
    isFailure(thrown, 'NamespaceTerminating') ||
    isFailure(thrown, 'KubernetesRefused')
  )
}
