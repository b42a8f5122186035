/**
 * The parts of one term of office: the looks at Redis behind their wall, the judge of schemas behind another, and the reconciler. They
 * share the caches, which standbys keep warm too.
 */
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Clock } from '../process/clock.ts'
import type { Caches } from './caches.ts'
import type { CompatibilityCheck } from './compatibility.ts'
import type { Applier } from './kubernetes/apply.ts'
import { keyOf } from './kubernetes/objects.ts'
import type { WorkQueue } from './kubernetes/queue.ts'
import type { EventRecorder } from './kubernetes/recorder.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { Limits } from './limits.ts'
import { recordingReasons } from './looklog.ts'
import type { OperatorMetrics } from './metrics/metrics.ts'
import { createReferenceReader } from './observe/referencereader.ts'
import type { CompiledOperatorOptions } from './options.ts'
import { pipelineType, podType } from './plan/kinds.ts'
import { createConfirmation } from './reaping/confirmation.ts'
import { createReconciler, type Reconciler } from './reconcile.ts'
import type { Scopes } from './scopes.ts'
import { createJudge } from './wall/judge/host.ts'
import { createLookHost } from './wall/looks/host.ts'

export interface TermParts {
  readonly transport: Transport
  readonly clock: Clock
  readonly caches: Caches
  readonly applier: Applier
  readonly queue: WorkQueue
  readonly recorder: EventRecorder
  readonly metrics: OperatorMetrics
  readonly log: Logger
  readonly options: CompiledOperatorOptions
  readonly namespace: string
  readonly compatibility: CompatibilityCheck
  readonly scopes: Scopes
  /** Writes a line of the decision log. */
  readonly recordDecision: (line: string) => void
}

export interface Term {
  readonly reconciler: Reconciler
  readonly watchers: ReturnType<typeof createLookHost>
  close(): Promise<void>
}

/** Whether this release serves the namespace. */
export function isServed(scopes: Scopes, namespace: string): boolean {
  const { kind } = scopes.standing(namespace)
  return kind === 'Mine' || kind === 'Unclaimed'
}

export function createTerm(parts: TermParts, signingKey: Buffer): Term {
  const { transport, clock, caches, queue, recorder, metrics, log, options, scopes } = parts
  const limits = { ...options.limits, operatorNamespace: parts.namespace }
  // Reads go on while the last reconciles finish: a read that the end broke off would look like a failure of the pipeline.
  const ended = new AbortController()
  const reader = createReferenceReader(transport, clock, limits, ended.signal)
  const looked = options.manyTeams ? recordingReasons(log, metrics.looked) : { onLook: metrics.looked, forget() {} }
  const onFailure = logFailure(log)
  const watchers = createLookHost({
    clock,
    settings: lookSettings(options, limits, signingKey),
    programs: options.programs,
    reader,
    confirmGone: createConfirmation({
      transport,
      clock,
      cached: caches.pods.get,
      isKnown: (within) => caches.views.isKnown(podType, within),
      signal: ended.signal,
    }),
    pipelineGone({ namespace, name, uid }) {
      return caches.views.isKnown(pipelineType, namespace) && caches.pipelines.get(`${namespace}/${name}`)?.metadata.uid !== uid
    },
    onReaped: (key, consumer, reaping) => log.info({ pipeline: key, consumer, ...reaping }, 'vanished consumer reaped'),
    onReapingFailure: (key, error) => log.warn({ pipeline: key, err: error }, 'a vanished consumer could not be reaped'),
    onChange: (key, urgent) => queue.add(key, urgent ? 'Changed' : 'Observed'),
    onDecision: parts.recordDecision,
    onLook: looked.onLook,
    onFailure,
  })
  const judge = createJudge({ clock, programs: options.programs, onRelease: (key) => queue.add(key, 'Changed'), onFailure })
  const reconciler = createReconciler({
    transport,
    clock,
    caches,
    applier: parts.applier,
    recorder,
    reader,
    watchers,
    settings: { ...options, limits, signingKey },
    isServed: (namespace) => isServed(scopes, namespace),
    onAdopted: (object, subject) =>
      log.info({ pipeline: keyOf(object), object: subject }, 'an object without an owner was adopted'),
    onEventsUnread: (within, error) =>
      log.warn(
        { namespace: within, err: error, code: error.code },
        'Events of pods cannot be read: the cause that keeps a pod from running may stay unknown',
      ),
    judge: judge.judge,
    schemaFailure: () => (parts.compatibility.state.kind === 'Outdated' ? parts.compatibility.state.error : undefined),
    onForgotten(key) {
      metrics.forgotten(key)
      judge.forget(key)
      looked.forget(key)
    },
  })
  return {
    reconciler,
    watchers,
    async close() {
      ended.abort()
      await Promise.all([watchers.close(), judge.close()])
    },
  }
}

const logFailure = (log: Logger) => (error: Error, fields: object) =>
  log.error({ ...fields, err: error }, 'a process behind the wall failed')

/** The operator sends these settings to the processes that look at Redis. */
function lookSettings(options: CompiledOperatorOptions, limits: Limits, signingKey: Buffer) {
  return {
    everyMs: options.observeEveryMs,
    quietMs: options.quietMs,
    referencesEveryMs: options.referencesEveryMs,
    inCluster: options.inCluster,
    limits,
    decisionLog: options.decisionLog,
    cluster: clusterOf(signingKey),
  }
}

/** A name of this cluster that all its leaders share: Redis keeps the operator's claims under it. */
function clusterOf(signingKey: Buffer): string {
  return createHash('sha256').update('claims').update(signingKey).digest('hex').slice(0, 32)
}
