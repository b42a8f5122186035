/**
 * The work of the leader alone: reconcile, look at Redis, record Events. One term of office, from taking the Lease to losing it or to the
 * process's end. After the order to stop, reconciles under way may go on for a while.
 */
import type { Logger } from 'pino'
import { pause, untilAborted } from '../process/pause.ts'
import { type ControllerObserver, createController, type Outcome, workers } from './kubernetes/controller.ts'
import { keyOf } from './kubernetes/objects.ts'
import { acknowledgedLosses } from './plan/names.ts'
import type { Reconciler } from './reconcile.ts'
import { loadSigningKey } from './signingkey.ts'
import { createTerm, isServed, type Term, type TermParts } from './term.ts'

interface LeaderParts extends TermParts {
  /** Gets the reconciler of this term, which has to hear of changes from then on. */
  readonly onReconciler: (reconciler: Reconciler) => void
}

/** How long reconciles under way may go on after the order to stop. */
const graceMs = 10_000
const signingKeyRetryMs = 2_000

/** Resolves when everything it started has ended. */
export async function serveTerm(parts: LeaderParts, stop: AbortSignal, cut: AbortSignal): Promise<void> {
  const claiming = new AbortController()
  const claims = parts.scopes.lead(claiming.signal)
  try {
    await serve(parts, stop, cut)
  } finally {
    claiming.abort()
    await claims
  }
}

async function serve(parts: LeaderParts, stop: AbortSignal, cut: AbortSignal): Promise<void> {
  const { caches, metrics } = parts
  const signingKey = await signingKeyOf(parts, stop)
  if (stop.aborted || signingKey === undefined) return
  const term = createTerm(parts, signingKey)
  try {
    term.watchers.prepare()
    await Promise.race([caches.views.whenSettled(), untilAborted(stop)])
    if (!stop.aborted) await work(parts, term, stop, cut)
  } finally {
    metrics.read(undefined)
    await term.close()
  }
}

async function work(parts: LeaderParts, { reconciler, watchers }: Term, stop: AbortSignal, cut: AbortSignal): Promise<void> {
  const { clock, caches, queue, metrics, log, scopes } = parts
  parts.onReconciler(reconciler)
  const served = () => caches.pipelines.list().filter(({ metadata }) => isServed(scopes, metadata.namespace ?? ''))
  metrics.read(() =>
    served().map((object) => {
      const key = keyOf(object)
      const [pipeline, observation] = [watchers.pipeline(key), watchers.observation(key)]
      return { key, pipeline, observation, acknowledged: acknowledgedLosses(object), status: object.status }
    }),
  )
  // Behind all changes: no user waits for these.
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
  }
}

/** Without the key nothing may be applied: a made-up one would roll every pod. */
async function signingKeyOf({ transport, clock, log, namespace }: LeaderParts, stop: AbortSignal): Promise<Buffer | undefined> {
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
