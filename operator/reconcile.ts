/**
 * The shell around `plan`: gathers the state of one pipeline (gather.ts), has the plan carried out (execute.ts), and reports. Failed work is
 * tried again after longer and longer pauses (setback.ts). One reconcile goes this way:
 *
 *   gather ──▶ target ──▶ watch ──▶ settle ──▶ outcome ──▶ write
 *
 * A plan that was carried out is not carried out again while its fingerprint stays (`AtRest`). A status is written only if the caches are
 * current and the objects are as this reconcile left them. Otherwise the next look, or the change itself, leads to it.
 */
import { createExecute } from './execute.ts'
import { createGatherer, type GatherParts } from './gather.ts'
import type { Applier } from './kubernetes/apply.ts'
import type { Reconcile, ReconcileResult } from './kubernetes/controller.ts'
import type { EventRecorder } from './kubernetes/recorder.ts'
import { createExplain } from './kubernetes/refusals.ts'
import { pipelineType } from './plan/kinds.ts'
import { isPaused } from './plan/names.ts'
import type { Observed, PipelineObject } from './plan/observed.ts'
import { fingerprintOf, type Target, targetOf } from './plan/plan.ts'
import { livingPods } from './reaping/suspects.ts'
import { createRecords, type PipelineRecord } from './record.ts'
import { type Report, report } from './report.ts'
import { type Setback, worthReporting } from './setback.ts'
import { createSettle, type Settling } from './settle.ts'
import { createStatusWriter } from './statuswriter.ts'

interface ReconcilerParts extends GatherParts {
  readonly applier: Applier
  readonly recorder: EventRecorder
  /** The pipeline is gone. */
  readonly onForgotten?: (key: string) => void
  /** Whether this release serves that namespace, rather than another release. */
  readonly isServed?: (namespace: string) => boolean
  /** The operator took over an object that had lost its owner; `subject` is for example `Deployment ndvi-consumer`. */
  readonly onAdopted?: (object: PipelineObject, subject: string) => void
}

export interface Reconciler {
  readonly reconcile: Reconcile
  /** A watched object of the pipeline, or the pipeline itself, changed. */
  touched(key: string): void
  /** The API server went back to an earlier state: known generations and versions mean nothing. */
  forgetAll(): void
}

/** Pause while no status is written, since the watches have to catch up, or a write has to be tried again. */
const waitMs = 1_000
export function createReconciler(parts: ReconcilerParts): Reconciler {
  const { transport, clock, caches, recorder, watchers, settings, onForgotten = () => {} } = parts
  const { isServed = () => true } = parts
  const execute = createExecute({ ...parts, explain: createExplain(transport, clock) })
  const settle = createSettle({ clock, caches, execute, retryEveryMs: settings.retryEveryMs })
  const writeStatus = createStatusWriter({ transport, caches, recorder })
  const { gather, known } = createGatherer(parts)
  const records = createRecords(clock.now, settings.retryEveryMs)

  function forget(key: string): ReconcileResult {
    watchers.unwatch(key)
    records.forget(key)
    onForgotten(key)
    return {}
  }

  function watch(key: string, observed: Observed, target: Target | undefined): void {
    if (observed.spec.kind === 'Unsound') {
      watchers.unwatch(key)
      return
    }
    watchers.watch(key, {
      pipeline: observed.spec.pipeline,
      currentReplicas: observed.deployment?.spec?.replicas,
      mode: target?.mode,
      livingPods: livingPods(observed.pods),
    })
  }

  const reconcile: Reconcile = async (key, signal) => {
    const object = caches.pipelines.get(key)
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return forget(key)
    // Another release serves the namespace: this one writes nothing and forgets the pipeline.
    if (!isServed(object.metadata.namespace ?? '')) return forget(key)
    // Deleted and made anew between two lists: what was seen of its namesake is of another pipeline.
    const watched = watchers.pipeline(key)?.uid
    if (watched !== undefined && watched !== object.metadata.uid) forget(key)
    const record = records.of(key)
    const observed = await gather(key, record, object, signal)
    const target = targetOf(observed, clock.wall().getTime())
    watch(key, observed, target)
    const settling = await settle(key, record, observed, target, signal)
    const outcome = outcomeOf(key, record, observed, target, settling)
    const reported = outcome && report(outcome, clock.wall().getTime())
    const { setback } = record
    const isCurrent = reported?.writeStatus !== true || caches.views.isCurrent(object.metadata.namespace ?? '')
    // The view may stay dark for hours. When it is lit again, it queues the pipeline.
    if (isPauseUnsure(observed)) return nextLook({ requeueAfterMs: settings.retryEveryMs }, setback, clock.now())
    if (outcome === undefined || reported === undefined || !isCurrent)
      return nextLook({ requeueAfterMs: waitMs }, setback, clock.now())
    if (await writeStatus(outcome.object, reported, signal)) record.statusWrittenMs = clock.wall().getTime()
    return nextLook(reported, setback, clock.now())
  }

  /** The state of which a status may be made at this moment. Undefined: it has to wait. */
  function outcomeOf(
    key: string,
    record: PipelineRecord,
    observed: Observed,
    target: Target | undefined,
    settling: Settling,
  ): Observed | undefined {
    const { setback } = record
    const latest = caches.pipelines.get(key)
    // Writes may take long. The change of the pipeline has queued it anew.
    if (latest === undefined || !isSameSpec(latest, observed.object)) return undefined
    const failures = setback === undefined ? [] : worthReporting(setback, clock.now())
    // The failed write is tried again at once. Until then the objects do not match, and no failure is known to last.
    if (setback !== undefined && failures.length === 0) return undefined
    const outcome = { ...observed, ...known(key, record, latest), failures }
    return setback !== undefined || isCarriedOut(record, outcome, target, settling) ? outcome : undefined
  }

  /**
   * Whether what is known now leads to the plan that this reconcile carried out, or found carried out. Otherwise others have
   * changed objects, a look has led to another number, or reconciling was disabled or enabled. Each has queued the pipeline, too.
   */
  function isCarriedOut(record: PipelineRecord, outcome: Observed, target: Target | undefined, settling: Settling): boolean {
    const now = targetOf(outcome, clock.wall().getTime())
    if (now === undefined || target === undefined) return now === target
    const isSame = now.replicas === target.replicas && now.mode === target.mode
    return isSame && (settling === 'AtRest' || record.settled === fingerprintOf(outcome, now))
  }

  return { reconcile, touched: records.touched, forgetAll: records.forgetAll }
}

/**
 * The next look. A recent conflict is thrown, so that the queue retries it at once with back-off. Other failures wait until they are due.
 */
function nextLook(reported: Pick<Report, 'requeueAfterMs'>, setback: Setback | undefined, nowMs: number): ReconcileResult {
  const inMs = setback === undefined ? undefined : setback.dueMs - nowMs
  const [first] = setback?.failures ?? []
  // The queue does not retry a terminal error, so it is not thrown.
  if (inMs !== undefined && inMs <= 0 && first?.error.retryable === true) throw first.error
  const waits = [reported.requeueAfterMs, inMs && Math.max(1, inMs)].filter((each) => each !== undefined)
  return waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }
}

/** Reconciling was disabled when the resource was last seen, and it can no longer be watched: it may be enabled by now. */
function isPauseUnsure({ object, dark = [] }: Observed): boolean {
  return isPaused(object) && dark.some(({ kind }) => kind === pipelineType.kind)
}

function isSameSpec({ metadata: one }: PipelineObject, { metadata: other }: PipelineObject): boolean {
  return one.uid === other.uid && one.generation === other.generation
}
