/**
 * What only the leader does: reconcile, look at Redis, record Events. One term of office, from taking the Lease to losing it or
 * to the process's end. The caches it works on are kept warm by standbys too.
 */

import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import type { Caches } from './caches.ts'
import type { CompatibilityCheck } from './compatibility.ts'
import type { Applier } from './kubernetes/apply.ts'
import { type ControllerObserver, createController, type Outcome, workers } from './kubernetes/controller.ts'
import { keyOf } from './kubernetes/objects.ts'
import type { WorkQueue } from './kubernetes/queue.ts'
import type { EventRecorder } from './kubernetes/recorder.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { OperatorMetrics } from './metrics/metrics.ts'
import { createReferenceReader } from './observe/referencereader.ts'
import type { CompiledOperatorOptions } from './options.ts'
import { pipelineType, podType } from './plan/kinds.ts'
import { acknowledgedLosses } from './plan/names.ts'
import type { Observation } from './plan/observed.ts'
import { createConfirmation } from './reaping/confirmation.ts'
import { createReconciler, type Reconciler } from './reconcile.ts'
import type { Scopes } from './scopes.ts'
import { loadSigningKey } from './signingkey.ts'
import { createJudge } from './wall/judge/host.ts'
import { createLookHost } from './wall/looks/host.ts'

interface TermParts {
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
  /** Gets the reconciler of this term, which has to hear of changes from then on. */
  readonly onReconciler: (reconciler: Reconciler) => void
  /** Writes a line of the decision log. */
  readonly recordDecision: (line: string) => void
}

/** How long reconciles under way may go on after the order to stop. */
const graceMs = 10_000
const signingKeyRetryMs = 2_000

/** Resolves when everything it started has ended. */
export async function serveTerm(parts: TermParts, stop: AbortSignal, cut: AbortSignal): Promise<void> {
  const claiming = new AbortController()
  const claims = parts.scopes.lead(claiming.signal)
  try {
    await serve(parts, stop, cut)
  } finally {
    claiming.abort()
    await claims
  }
}

async function serve(parts: TermParts, stop: AbortSignal, cut: AbortSignal): Promise<void> {
  const { transport, clock, caches, queue, recorder, metrics, log, options, scopes, namespace } = parts
  await Promise.race([caches.views.whenSettled(), ended(stop)])
  const signingKey = await signingKeyOf(parts, stop)
  if (stop.aborted || signingKey === undefined) return

  const limits = { ...options.limits, operatorNamespace: namespace }
  const reader = createReferenceReader(transport, clock, limits, stop)
  const isServed = (namespace: string) => {
    const { kind } = scopes.standing(namespace)
    return kind === 'Mine' || kind === 'Unclaimed'
  }
  const looked = options.manyTeams ? recordingReasons(log, metrics.looked) : { onLook: metrics.looked, forget() {} }
  const watchers = createLookHost({
    clock,
    settings: {
      everyMs: options.observeEveryMs,
      quietMs: options.quietMs,
      referencesEveryMs: options.referencesEveryMs,
      inCluster: options.inCluster,
      limits,
      decisionLog: options.decisionLog,
      cluster: createHash('sha256').update('claims').update(signingKey).digest('hex').slice(0, 32),
    },
    reader,
    confirmGone: createConfirmation({
      transport,
      clock,
      cached: caches.pods.get,
      isKnown: (within) => caches.views.isKnown(podType, within),
      signal: stop,
    }),
    pipelineGone({ namespace, name, uid }) {
      return caches.views.isKnown(pipelineType, namespace) && caches.pipelines.get(`${namespace}/${name}`)?.metadata.uid !== uid
    },
    onReaped: (key, consumer, reaping) => log.info({ pipeline: key, consumer, ...reaping }, 'vanished consumer reaped'),
    onReapingFault: (key, error) => log.warn({ pipeline: key, err: error }, 'a vanished consumer could not be reaped'),
    onChange: (key, urgent) => queue.add(key, urgent ? 'Changed' : 'Observed'),
    onDecision: parts.recordDecision,
    onLook: looked.onLook,
    onFault: (error, fields) => log.error({ ...fields, err: error }, 'a process behind the wall failed'),
  })
  const settings = {
    consumerImage: options.consumerImage,
    networkPolicy: options.networkPolicy,
    networkPolicyRedis: options.networkPolicyRedis,
    networkPolicyPorts: options.networkPolicyPorts,
    podMonitor: options.podMonitor,
    podMonitorForm: options.podMonitorForm,
    consumerDefaults: options.consumerDefaults,
    limits,
    manyTeams: options.manyTeams,
    referencesEveryMs: options.referencesEveryMs,
    observeEveryMs: options.observeEveryMs,
    numbersEveryMs: options.numbersEveryMs,
    faultsEveryMs: options.faultsEveryMs,
    quietMs: options.quietMs,
    signingKey,
  }
  const judge = createJudge({
    clock,
    onRelease: (key) => queue.add(key, 'Changed'),
    onFault: (error, fields) => log.error({ ...fields, err: error }, 'a process behind the wall failed'),
  })
  const reconciler = createReconciler({
    transport,
    clock,
    caches,
    applier: parts.applier,
    recorder,
    reader,
    watchers,
    settings,
    isServed,
    onAdopted: (object, subject) =>
      log.info({ pipeline: keyOf(object), object: subject }, 'an object without an owner was adopted'),
    onEventsUnread: (within, error) =>
      log.warn(
        { namespace: within, err: error, code: error.code },
        'Events of pods cannot be read: the cause that keeps a pod from running may stay unknown',
      ),
    judge: judge.judge,
    schemaFault: () => (parts.compatibility.state.kind === 'Outdated' ? parts.compatibility.state.error : undefined),
    onForgotten(key) {
      metrics.forgotten(key)
      judge.forget(key)
      looked.forget(key)
    },
  })
  parts.onReconciler(reconciler)
  const served = () => caches.pipelines.list().filter(({ metadata }) => isServed(metadata.namespace ?? ''))
  metrics.read(() =>
    served().map((object) => {
      const key = keyOf(object)
      const [pipeline, observation] = [watchers.pipeline(key), watchers.observation(key)]
      return { key, pipeline, observation, acknowledged: acknowledgedLosses(object), status: object.status }
    }),
  )
  // Behind whatever changes: nobody waits for these.
  for (const pipeline of caches.pipelines.list()) queue.add(keyOf(pipeline), 'Resynced')
  const controller = createController(queue, reconciler.reconcile, {
    clock,
    workers,
    observer: observed(metrics.controller, log),
  })
  const grace = new AbortController()
  let cancelGrace = () => {}
  const startGrace = () => {
    cancelGrace = clock.after(graceMs, () => grace.abort())
  }
  stop.addEventListener('abort', startGrace, { once: true })
  try {
    await controller.run(stop, AbortSignal.any([cut, grace.signal]))
  } finally {
    cancelGrace()
    stop.removeEventListener('abort', startGrace)
    metrics.read(undefined)
    await Promise.all([watchers.close(), judge.close()])
  }
}

/** Without the key nothing may be applied: a made-up one would roll every pod. */
async function signingKeyOf({ transport, clock, log, namespace }: TermParts, stop: AbortSignal): Promise<Buffer | undefined> {
  while (!stop.aborted) {
    try {
      return await loadSigningKey(transport, namespace, stop)
    } catch (thrown) {
      if (stop.aborted) break
      log.error({ err: thrown, namespace }, 'the signing key cannot be read or made')
      await pause(signingKeyRetryMs, stop, clock.after)
    }
  }
  return undefined
}

type OnLook = (key: string, observation: Observation, tookMs: number) => void

/** Logs for the administrator the reasons that status omits where many teams read it. A reason is logged once until another follows. */
export function recordingReasons(log: Pick<Logger, 'info'>, onLook: OnLook): { onLook: OnLook; forget(key: string): void } {
  const last = new Map<string, string>()
  return {
    onLook(key, observation, tookMs) {
      onLook(key, observation, tookMs)
      if (observation.kind !== 'Failed') return void last.delete(key)
      if (last.get(key) === observation.error.message) return
      last.set(key, observation.error.message)
      log.info({ pipeline: key, code: observation.error.code, detail: observation.error.message }, 'Redis could not be looked at')
    },
    forget: (key) => void last.delete(key),
  }
}

function observed(inner: ControllerObserver, log: Logger): ControllerObserver {
  return {
    ...inner,
    reconciled(key, outcome, tookMs, waitedMs) {
      inner.reconciled?.(key, outcome, tookMs, waitedMs)
      const fields = { pipeline: key, outcome: outcome.kind, tookMs: Math.round(tookMs), waitedMs: Math.round(waitedMs) }
      if (isFailed(outcome)) log.warn({ ...fields, err: outcome.error, code: outcome.error.code }, 'reconcile failed')
      else log.debug(fields, 'reconciled')
    },
  }
}

function isFailed(outcome: Outcome): outcome is Extract<Outcome, { error: unknown }> {
  return outcome.kind === 'Retry' || outcome.kind === 'Terminal'
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
