/**
 * The parts that run in every instance of the operator, leader or standby: connection, caches and scopes, the check of the served
 * schema, the recorder of Events, and the election. Their changes go to the leader's work.
 */
import type { Logger } from 'pino'
import type { Clock } from '../process/clock.ts'
import { type Caches, type CachesOptions, createCaches } from './caches.ts'
import { createCompatibilityCheck } from './compatibility.ts'
import { type Applier, createApplier } from './kubernetes/apply.ts'
import type { CredentialSource } from './kubernetes/credentials.ts'
import { createFairTransport } from './kubernetes/fairtransport.ts'
import { keyOf, splitKey } from './kubernetes/objects.ts'
import { createRecorder } from './kubernetes/recorder.ts'
import { createTransport, type Transport } from './kubernetes/transport.ts'
import type { LeaderWork } from './leaderwork.ts'
import type { OperatorMetrics } from './metrics/metrics.ts'
import type { CompiledOperatorOptions } from './options.ts'
import { mainManager } from './plan/kinds.ts'
import { acknowledgedAnnotation, reconcileAnnotation } from './plan/names.ts'
import type { PipelineObject } from './plan/observed.ts'
import { createRewind } from './rewind.ts'
import type { Standing } from './scope.ts'
import { createScopes, type Scopes } from './scopes.ts'
import { createSuccession } from './succession.ts'

interface InstanceParts {
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: OperatorMetrics
  readonly options: CompiledOperatorOptions
  readonly namespace: string
  readonly credentials: CredentialSource
  readonly work: LeaderWork
}

export interface Instance extends ReturnType<typeof apiParts> {
  readonly transport: Transport
  readonly applier: Applier
  readonly rewind: ReturnType<typeof createRewind>
  readonly scopes: Scopes
  readonly caches: Caches
}

export function createInstance(parts: InstanceParts): Instance {
  const { clock, log, options, namespace, work } = parts
  const transport = createFairTransport(createTransport(parts.credentials, { onResponse: parts.metrics.responded }))
  const applier = createApplier(transport, mainManager)
  const lookAgain = (within?: string) => {
    for (const object of caches.pipelines.list())
      if (within === undefined || object.metadata.namespace === within) work.add(keyOf(object), 'Resynced')
  }
  const rewind = createRewind({
    clock,
    relist() {
      log.warn('the API server went back to an earlier state: everything is read anew')
      scopes.relist()
      caches.views.relist()
    },
    forget() {
      applier.forgetAll()
      work.forgetAll()
      lookAgain()
    },
  })
  const scopes = createScopes({
    transport,
    clock,
    namespaces: options.namespaces,
    release: `${namespace}/${options.lease}`,
    durationMs: options.scopeMs,
    onChange(within, standing) {
      report(log, within, standing)
      lookAgain(within)
    },
  })
  const caches: Caches = createCaches({
    transport,
    clock,
    namespaces: options.namespaces,
    podMonitor: options.podMonitor,
    onRewound: rewind.notice,
    ...cacheListeners(parts, { applier, scopes, lookAgain, isSynced: () => caches.views.synced }),
  })
  return {
    transport,
    applier,
    rewind,
    scopes,
    caches,
    ...apiParts(parts, { transport, caches, onRewound: rewind.notice }),
  }
}

interface Listening {
  readonly applier: Applier
  readonly scopes: Scopes
  /** Every view was listed. */
  readonly isSynced: () => boolean
  readonly lookAgain: (namespace?: string) => void
}

function cacheListeners({ log, work }: InstanceParts, { applier, scopes, isSynced, lookAgain }: Listening) {
  /** Objects of the first lists are no changes: a real change overtakes them. */
  const heard = (key: string) => {
    work.touched(key)
    work.add(key, isSynced() ? 'Changed' : 'Resynced')
  }
  return {
    onPipeline(key, change) {
      scopes.want(splitKey(key).namespace)
      if (change.kind === 'Removed' || mattersTo(change.before, change.object)) heard(key)
    },
    onChild(key, type, change) {
      if (change.kind === 'Removed') applier.forget(type, change.key, change.before.metadata.uid)
      heard(key)
    },
    onPod: heard,
    onBackoff: (type, error, attempt) =>
      log.debug({ kind: type.kind, attempt, ...(error === undefined ? {} : { err: error }) }, 'a watch is interrupted'),
    onView(type, within, dark) {
      const fields = { kind: type.kind, ...(within === undefined ? {} : { namespace: within }) }
      if (dark === undefined) log.info(fields, 'objects are seen again')
      else log.warn({ ...fields, err: dark.error, code: dark.error.code }, 'objects cannot be watched')
      lookAgain(within)
    },
    onHandlerFailure: (thrown) => log.error({ err: thrown }, 'a handler of a watch failed'),
  } satisfies Partial<CachesOptions>
}

interface ApiParts {
  readonly transport: Transport
  readonly caches: Caches
  readonly onRewound: () => void
}

/** The parts that ask the API server by themselves. */
function apiParts({ clock, log, options, namespace, work }: InstanceParts, { transport, caches, onRewound }: ApiParts) {
  const recorder = createRecorder({
    transport,
    clock,
    controller: 'streampipeline-operator',
    instance: options.identity,
    busy: () => work.depth > 0,
    onFailure: (error) => log.warn({ err: error }, 'an Event could not be written'),
  })
  const compatibility = createCompatibilityCheck({
    transport,
    clock,
    everyMs: options.schemaEveryMs,
    onChange(state) {
      if (state.kind === 'Outdated') log.error({ err: state.error }, 'the served schema is too old')
      else log.info('the served schema fits')
      for (const { metadata } of caches.pipelines.list()) work.add(`${metadata.namespace ?? ''}/${metadata.name ?? ''}`)
    },
    onFailure: (error) => log.warn({ err: error }, 'the served schema could not be read'),
  })
  const elector = createSuccession({
    transport,
    clock,
    namespace,
    name: options.lease,
    identity: options.identity,
    onFailure: (error) => log.warn({ err: error }, 'the Lease could not be read or written'),
    onRewound,
  })
  return { recorder, compatibility, elector }
}

/** Our own status writes come back as events; they are no news. */
export function mattersTo(before: PipelineObject | undefined, after: PipelineObject): boolean {
  if (before === undefined) return true
  const [old, now] = [before.metadata, after.metadata]
  return (
    old.uid !== now.uid ||
    old.generation !== now.generation ||
    old.deletionTimestamp !== now.deletionTimestamp ||
    old.annotations?.[reconcileAnnotation] !== now.annotations?.[reconcileAnnotation] ||
    old.annotations?.[acknowledgedAnnotation] !== now.annotations?.[acknowledgedAnnotation]
  )
}

function report(log: Logger, namespace: string, standing: Standing): void {
  switch (standing.kind) {
    case 'Pending':
      return
    case 'Mine':
      log.info({ namespace }, 'this release serves the namespace')
      return
    case 'Theirs':
      log.warn({ namespace, holder: standing.holder }, 'another release serves the namespace: this one stands back')
      return
    case 'Unclaimed': {
      const { error } = standing
      log.warn(
        { namespace, err: error, code: error.code },
        'the namespace is served, but not claimed: two releases would not notice',
      )
      return
    }
    default:
      throw standing satisfies never
  }
}
