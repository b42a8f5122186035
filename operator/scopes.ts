/**
 * Which namespaces this release of the operator serves, and from which it stands back because another release does. Two that both wrote
 * would undo each other's work for ever. They see each other where both have rights, in the namespaces served: in each of them a Lease
 * `streampipeline-operator-scope` names the release that serves it (`namespace/lease` of its leader election). Whoever was first
 * renews it; the other stands back, and takes over when it has not been renewed for a minute.
 *
 *   Pending ──written──▶ Mine ──another took it──▶ Theirs ──not renewed for its duration──▶ (written) Mine
 *      ├──another holds it──▶ Theirs
 *      └──cannot be written──▶ Unclaimed (served as if alone: a missing right must not stop what runs)
 *
 * It is a Lease so that nothing is left to clocks: times count from when a change of it was seen. The leader of a release renews;
 * its standbys only watch. For the whole cluster only namespaces with pipelines have one.
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import { pause } from '../process/pause.ts'
import type { Clock } from './kubernetes/clock.ts'
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
  /** A pipeline is there. */
  want(namespace: string): void
  /** How many namespaces this release might serve. */
  readonly wanted: number
  /** Namespaces that others serve. */
  theirs(): readonly { readonly namespace: string; readonly holder: string }[]
  relist(): void
  /** Watches until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
  /** Takes and renews until the signal aborts; never rejects. */
  lead(signal: AbortSignal): Promise<void>
}

interface ScopesOptions {
  readonly transport: Transport
  readonly clock: Clock
  /** Empty: all. */
  readonly namespaces: readonly string[]
  /** Of this release: where it runs and its own Lease's name. */
  readonly release: string
  readonly durationMs?: number
  /** The standing changed. */
  readonly onChange: (namespace: string, standing: Standing) => void
}

/** What is known of one namespace. */
interface Scope {
  standing: Standing
  /** As seen to change, by our clock. */
  seen: { readonly lease: Lease; readonly changedAtMs: number } | undefined
  writtenMs: number
  /** Tries in a row that failed. */
  failures: number
}

const defaultDurationMs = 60_000
const turnMs = 1_000
/** Renewals a second, at most: the more namespaces, the rarer is each renewed, and the longer it lasts. */
const renewalsPerSecond = 5
/** A Lease that cannot be written keeps nothing from being served for longer. */
const mostFailures = 3
const writesAtOnce = 8

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
        scope.failures = 0
        if (change.kind === 'Removed') scope.seen = undefined
        // Told again by a list it is not renewed.
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

  /** By what the Lease says; one that may be taken says nothing. */
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
      // Written by another: the watch tells what, or has told already.
      const isRace = isFailure(thrown, 'KubernetesConflict')
      scope.failures += 1
      const isMine = scope.standing.kind === 'Mine'
      if (!isMine && (scope.failures >= mostFailures || (!isRace && isLasting(thrown))))
        enter(namespace, scope, { kind: 'Unclaimed', error: asFailure(thrown) })
    }
  }

  function isDue({ standing, writtenMs, failures }: Scope): boolean {
    switch (standing.kind) {
      case 'Pending':
        return true
      case 'Theirs':
        return false
      case 'Mine':
        return clock.now() - writtenMs >= durationMs() / 4
      case 'Unclaimed':
        // As rarely as it is renewed: others' trouble is not to be made worse.
        return failures === 0 || clock.now() - writtenMs >= durationMs() / 4
      default:
        throw standing satisfies never
    }
  }

  /** What is written is decided on what the watch has told; where that tells nothing, the API server refuses what is stale. */
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

  /** Listed, or refused. */
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

/** Not to be had by trying again at once. */
function isLasting(thrown: unknown): boolean {
  return (
    isFailure(thrown, 'KubernetesForbidden') ||
    isFailure(thrown, 'KubernetesNotFound') ||
    isFailure(thrown, 'NamespaceTerminating') ||
    isFailure(thrown, 'KubernetesRefused')
  )
}
