/**
 * What only the leader does: reconcile, look at Redis, record Events. One term of office, from taking the Lease to losing it or
 * to the process's end. The caches it works on are kept warm by standbys too.
 */

import type { Logger } from 'pino'
import { pause } from '../process/pause.ts'
import type { Caches } from './caches.ts'
import type { CompatibilityCheck } from './compatibility.ts'
import { createDecisionRecorder } from './decisions.ts'
import type { Applier } from './kubernetes/apply.ts'
import type { Clock } from './kubernetes/clock.ts'
import { type ControllerObserver, createController, type Outcome, workers } from './kubernetes/controller.ts'
import { keyOf } from './kubernetes/objects.ts'
import type { WorkQueue } from './kubernetes/queue.ts'
import type { EventRecorder } from './kubernetes/recorder.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { OperatorMetrics } from './metrics/metrics.ts'
import { asSeenFrom } from './observe/locality.ts'
import { createReferenceReader } from './observe/referencereader.ts'
import { createWatchers } from './observe/watchers.ts'
import type { CompiledOperatorOptions } from './options.ts'
import type { Observation } from './plan/observed.ts'
import { within } from './policy/hosts.ts'
import { confirmByAsking } from './reaping/suspects.ts'
import { createReconciler } from './reconcile.ts'
import { loadSigningKey } from './signingkey.ts'

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
  /** Writes a line of the decision log. */
  readonly recordDecision: (line: string) => void
}

/** How long reconciles under way may go on after the order to stop. */
const graceMs = 10_000
const signingKeyRetryMs = 2_000

/** Resolves when everything it started has ended. */
export async function serveTerm(parts: TermParts, stop: AbortSignal, cut: AbortSignal): Promise<void> {
  const { transport, clock, caches, applier, queue, recorder, metrics, log, options, namespace } = parts
  await Promise.race([caches.whenSynced, ended(stop)])
  const signingKey = await signingKeyOf(parts, stop)
  if (stop.aborted || signingKey === undefined) return

  const decisions = createDecisionRecorder(options.decisionLog, parts.recordDecision)
  const limits = { ...options.limits, operatorNamespace: namespace }
  const reader = createReferenceReader(transport, clock, limits)
  const watchers = createWatchers({
    reader,
    clock,
    everyMs: options.observeEveryMs,
    quietMs: options.quietMs,
    referencesEveryMs: options.referencesEveryMs,
    locate: within(limits, options.inCluster ? asSeenFrom : (_namespace, address) => address),
    confirmGone: confirmByAsking(transport, clock),
    onReaped: (key, consumer, reaping) => log.info({ pipeline: key, consumer, ...reaping }, 'vanished consumer reaped'),
    onReapingFault: (key, error) => log.warn({ pipeline: key, err: error }, 'a vanished consumer could not be reaped'),
    onChange: (key, urgent) => queue.add(key, urgent ? 'Changed' : 'Observed'),
    onDecision: decisions.made,
    onLook: options.manyTeams ? recordingReasons(log, metrics.looked) : metrics.looked,
  })
  const settings = {
    consumerImage: options.consumerImage,
    networkPolicy: options.networkPolicy,
    networkPolicyRedis: options.networkPolicyRedis,
    podMonitor: options.podMonitor,
    limits,
    manyTeams: options.manyTeams,
    referencesEveryMs: options.referencesEveryMs,
    numbersEveryMs: options.numbersEveryMs,
    faultsEveryMs: options.faultsEveryMs,
    quietMs: options.quietMs,
    signingKey,
  }
  const reconcile = createReconciler({
    transport,
    clock,
    caches,
    applier,
    recorder,
    reader,
    watchers,
    settings,
    schemaFault: () => (parts.compatibility.state.kind === 'Outdated' ? parts.compatibility.state.error : undefined),
    onForgotten(key) {
      metrics.forgotten(key)
      decisions.forget(key)
    },
  })
  metrics.read(() =>
    caches.pipelines.list().map((object) => {
      const key = keyOf(object)
      return { key, pipeline: watchers.pipeline(key), observation: watchers.observation(key), status: object.status }
    }),
  )
  // Behind whatever changes: nobody waits for these.
  for (const pipeline of caches.pipelines.list()) queue.add(keyOf(pipeline), 'Resynced')
  const controller = createController(queue, reconcile, { clock, workers, observer: observed(metrics.controller, log) })
  const grace = new AbortController()
  let cancelGrace = () => {}
  const startGrace = () => {
    cancelGrace = clock.after(graceMs, () => grace.abort())
  }
  stop.addEventListener('abort', startGrace, { once: true })
  await controller.run(stop, AbortSignal.any([cut, grace.signal]))
  cancelGrace()
  stop.removeEventListener('abort', startGrace)
  metrics.read(undefined)
  await watchers.close()
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

/** What status leaves out where many teams read it, for the administrator; each reason once until another follows. */
function recordingReasons(log: Logger, onLook: OnLook): OnLook {
  const last = new Map<string, string>()
  return (key, observation, tookMs) => {
    onLook(key, observation, tookMs)
    if (observation.kind !== 'Failed') return void last.delete(key)
    if (last.get(key) === observation.error.message) return
    last.set(key, observation.error.message)
    log.info({ pipeline: key, code: observation.error.code, detail: observation.error.message }, 'Redis could not be looked at')
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
