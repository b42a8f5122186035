/**
 * The shell around `plan`: gathers the state of one pipeline, has the plan carried out (execute.ts), and reports. Failed work is tried
 * again after longer and longer pauses (setback.ts).
 */
import { admit } from '../api/admission.ts'
import { compilePipeline } from '../api/compile.ts'
import type { CompiledPipeline, Reference } from '../api/compiled.ts'
import { asFailure, StreamPipelineError } from '../api/errors.ts'
import { admitted } from '../api/parse.ts'
import type { StreamPipeline } from '../api/schema/pipeline.ts'
import type { Problem } from '../api/validation/problem.ts'
import type { Clock } from '../process/clock.ts'
import { byPipeline, type Caches } from './caches.ts'
import { createExecute } from './execute.ts'
import { type Applier, serverSideApply } from './kubernetes/apply.ts'
import type { Reconcile, ReconcileResult } from './kubernetes/controller.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type KubernetesObject, keyOf } from './kubernetes/objects.ts'
import type { EventRecorder } from './kubernetes/recorder.ts'
import { createExplain } from './kubernetes/refusals.ts'
import type { Transport } from './kubernetes/transport.ts'
import { createPodEventReader } from './observe/podevents.ts'
import type { ReferenceReader } from './observe/referencereader.ts'
import type { PipelineWatchers } from './observe/watchers.ts'
import type { DeploymentObject } from './plan/deployment.ts'
import { pipelineType, statusManager } from './plan/kinds.ts'
import { consumerName, dispatchName } from './plan/names.ts'
import type { Observed, OperatorSettings, PipelineObject, ReadSpec, ReferenceState } from './plan/observed.ts'
import { basisOf, type Course, courseOf, plan, type Report, report } from './plan/plan.ts'
import { referencesOf } from './plan/references.ts'
import type { Limits } from './policy/limits.ts'
import { withoutPeer } from './policy/peers.ts'
import { podSecrets } from './policy/secrets.ts'
import { policyRefusal } from './policy/verdict.ts'
import { livingPods } from './reaping/suspects.ts'
import { isDue, type Setback, setbackOf, startedAnew, worthTelling } from './setback.ts'

interface ReconcilerParts {
  readonly transport: Transport
  readonly clock: Clock
  readonly caches: Caches
  readonly applier: Applier
  readonly recorder: EventRecorder
  readonly reader: ReferenceReader
  readonly watchers: PipelineWatchers
  readonly settings: OperatorSettings
  /** Judges the parts of a spec that may be costly, as createJudge does. */
  readonly judge: (key: string, version: string, value: unknown) => Promise<readonly Problem[]>
  /** Of the served CustomResourceDefinition. */
  readonly schemaFault?: () => StreamPipelineError | undefined
  /** The pipeline is gone. */
  readonly onForgotten?: (key: string) => void
  /** Whether this release serves that namespace, rather than another release. */
  readonly isServed?: (namespace: string) => boolean
  /** The operator took over an object that had lost its owner; `subject` is for example `Deployment ndvi-consumer`. */
  readonly onAdopted?: (object: PipelineObject, subject: string) => void
  /** Events of pods in that namespace cannot be read. */
  readonly onEventsUnread?: (namespace: string, error: StreamPipelineError) => void
}

/** The part of what is observed that needs no request. */
type Known = Omit<Observed, 'spec' | 'settings' | 'podEvents' | 'references' | 'faults'>

/** Whether the plan was carried out, or needed not to be, or is not due. */
type Settling = 'Tried' | 'AtRest'

/** State of one pipeline in this process. */
interface PipelineRecord {
  /** The spec as read. A check runs all its rules, so it is done once for each generation. */
  spec?: { readonly version: string; readonly sinceMs: number; readonly read: CompiledPipeline | StreamPipelineError }
  statusWrittenMs?: number
  /** The Deployment and its generation after the last write of its template. */
  template?: { readonly uid: string; readonly generation: number } | undefined
  /** What the last plan rested on that was carried out without a fault. */
  settled?: string
  /** The last attempt, if it met faults. */
  setback?: Setback
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
/** A Secret that cannot be read is reported after this many times `faultsEveryMs`. */
const doubtPatience = 6

export function createReconciler(parts: ReconcilerParts): Reconciler {
  const { transport, clock, caches, recorder, reader, watchers, settings, onForgotten = () => {} } = parts
  const { isServed = () => true } = parts
  const execute = createExecute({ ...parts, explain: createExplain(transport, clock) })
  const records = new Map<string, PipelineRecord>()
  const podEvents = createPodEventReader({ transport, clock, onUnread: parts.onEventsUnread ?? (() => {}) })

  function recordOf(key: string): PipelineRecord {
    const record = records.get(key) ?? {}
    records.set(key, record)
    return record
  }

  function forget(key: string): ReconcileResult {
    watchers.unwatch(key)
    records.delete(key)
    onForgotten(key)
    return {}
  }

  async function readSpec(key: string, record: PipelineRecord, object: PipelineObject): Promise<ReadSpec> {
    const version = `${object.metadata.uid ?? ''} ${object.metadata.generation ?? 0}`
    if (record.spec?.version === version) return specOf(object, record.spec.read)
    const parsed = await parse(object, async (value) => await parts.judge(key, version, value))
    // The spec was not judged: its pause ends without a change of the resource.
    if (parsed.kind === 'Unsound' && parsed.error.code === 'SpecQuarantined') return parsed
    const spec = judged(parsed, object, settings.limits)
    // The source of the compiled spec is seldom needed again.
    record.spec = { version, sinceMs: clock.wall().getTime(), read: spec.kind === 'Sound' ? spec.pipeline : spec.error }
    return spec
  }

  async function gather(key: string, record: PipelineRecord, object: PipelineObject, signal: AbortSignal): Promise<Observed> {
    const { namespace = '' } = object.metadata
    const spec = await readSpec(key, record, object)
    const events = await podEvents.read(caches.pods.indexed(byPipeline, key), signal)
    const references = spec.kind === 'Sound' ? await readReferences(spec, namespace) : []
    const read = { spec, settings, podEvents: events, references, faults: [] }
    // Last, since the requests before it may take long.
    return { ...read, ...known(key, record, object) }
  }

  /** What the caches and the last look know at this moment. */
  function known(key: string, record: PipelineRecord, object: PipelineObject): Known {
    const { namespace = '', name = '' } = object.metadata
    const wroteMs = record.statusWrittenMs
    const schemaFault = parts.schemaFault?.()
    const deployment = caches.deployments.get(`${namespace}/${consumerName(name)}`)
    return {
      object,
      deployment,
      templateGeneration: templateOf(record, deployment),
      dispatch: caches.configMaps.get(`${namespace}/${dispatchName(name)}`),
      children: childrenOf(key),
      pods: caches.pods.indexed(byPipeline, key),
      observation: settings.manyTeams ? withoutPeer(watchers.observation(key)) : watchers.observation(key),
      dark: caches.dark(namespace),
      ...(record.spec === undefined ? {} : { specSinceMs: record.spec.sinceMs }),
      ...(schemaFault === undefined ? {} : { schemaFault }),
      ...(wroteMs === undefined ? {} : { statusWrittenMs: wroteMs }),
    }
  }

  function childrenOf(key: string): readonly KubernetesObject[] {
    return [...caches.children.values()].flatMap((store) => store.indexed(byPipeline, key))
  }

  async function readReferences(spec: Extract<ReadSpec, { kind: 'Sound' }>, namespace: string): Promise<ReferenceState[]> {
    const maxAgeMs = Math.floor(settings.referencesEveryMs * 0.9)
    const read = await Promise.all(
      referencesOf(spec.pipeline).map(async (reference): Promise<ReferenceState> => {
        try {
          const value = await reader.read(namespace, reference, maxAgeMs)
          const doubt = reader.doubt(namespace, reference)
          const isLasting = doubt !== undefined && doubt.forMs >= doubtPatience * settings.faultsEveryMs
          return { kind: 'Found', reference, value, ...(isLasting ? { doubt: doubt.error } : {}) }
        } catch (thrown) {
          const error = asFailure(thrown)
          return unread(reference, error)
        }
      }),
    )
    // Without a required label, Secrets that only pods get are not read.
    if (settings.limits.secretLabel === undefined) return read
    return [...read, ...(await refusedSecrets(spec, namespace, maxAgeMs))]
  }

  async function refusedSecrets(spec: Extract<ReadSpec, { kind: 'Sound' }>, namespace: string, maxAgeMs: number) {
    const states = podSecrets(spec.resource.spec.consumer).map(async (secret): Promise<ReferenceState[]> => {
      const reference = { kind: 'Secret', name: secret.name, key: '*', field: secret.field } as const
      const error = await reader.refusal(namespace, secret, maxAgeMs).catch(asFailure)
      return error === undefined ? [] : [unread(reference, error)]
    })
    return (await Promise.all(states)).flat()
  }

  async function settle(
    key: string,
    record: PipelineRecord,
    observed: Observed,
    course: Course | undefined,
    signal: AbortSignal,
  ): Promise<Settling> {
    const basis = course && basisOf(observed, course)
    if (course === undefined || record.settled === basis) {
      delete record.setback
      return 'AtRest'
    }
    const last = record.setback
    if (!isDue(last, basis ?? '', clock.now())) return 'AtRest'
    const before = last === undefined || last.basis === basis ? last : startedAnew(last, clock.now(), settings.faultsEveryMs)
    delete record.settled
    const { faults, written, template } = await execute(plan(observed, course), course, observed, signal)
    record.template = template ?? record.template ?? templateFound(observed.deployment)
    // The basis uses objects as found and as written. A later change by another writer makes another basis.
    const children = asWritten(observed.children, written)
    const tried = basisOf({ ...observed, children }, course)
    if (faults.length > 0) {
      const now = clock.now()
      record.setback = setbackOf(before, { faults, basis: tried }, now, settings.faultsEveryMs, clock.random())
      return 'Tried'
    }
    delete record.setback
    record.settled = tried
    for (const child of childrenOf(key)) caches.children.get(child.kind ?? '')?.condense(keyOf(child))
    return 'Tried'
  }

  async function write(record: PipelineRecord, object: PipelineObject, said: Report, signal: AbortSignal): Promise<void> {
    if (!said.writeStatus) return
    const { name = '', namespace = '', uid = '' } = object.metadata
    const body = {
      apiVersion: pipelineType.apiVersion,
      kind: pipelineType.kind,
      metadata: { name, namespace, uid },
      status: said.status,
    }
    try {
      const written = await serverSideApply(transport, pipelineType, body as KubernetesObject, statusManager, signal, 'status')
      caches.pipelines.set(written as PipelineObject)
    } catch (thrown) {
      // Deleted meanwhile: its own event is on its way.
      if (isFailure(thrown, 'KubernetesNotFound')) return
      throw thrown
    }
    record.statusWrittenMs = clock.wall().getTime()
    for (const event of said.events) recorder.record(object, event)
  }

  function watch(key: string, observed: Observed, course: Course | undefined): void {
    if (observed.spec.kind === 'Unsound') {
      watchers.unwatch(key)
      return
    }
    watchers.watch(key, {
      pipeline: observed.spec.pipeline,
      currentReplicas: observed.deployment?.spec?.replicas,
      mode: course?.mode,
      livingPods: livingPods(observed.pods),
    })
  }

  const reconcile: Reconcile = async (key, signal) => {
    const object = caches.pipelines.get(key)
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return forget(key)
    // Another release serves the namespace: this one writes nothing and forgets the pipeline.
    if (!isServed(object.metadata.namespace ?? '')) return forget(key)
    const record = recordOf(key)
    const observed = await gather(key, record, object, signal)
    const course = courseOf(observed, clock.wall().getTime())
    watch(key, observed, course)
    const settling = await settle(key, record, observed, course, signal)
    const outcome = outcomeOf(key, record, observed, course, settling)
    const said = outcome && report(outcome, clock.wall().getTime())
    const { setback } = record
    const isCurrent = said?.writeStatus !== true || caches.views.isCurrent(object.metadata.namespace ?? '')
    if (outcome === undefined || said === undefined || !isCurrent)
      return nextLook({ requeueAfterMs: waitMs }, setback, clock.now())
    await write(record, outcome.object, said, signal)
    return nextLook(said, setback, clock.now())
  }

  /** What a status may be made of at this moment. Undefined: it has to wait. */
  function outcomeOf(
    key: string,
    record: PipelineRecord,
    observed: Observed,
    course: Course | undefined,
    settling: Settling,
  ): Observed | undefined {
    const { setback } = record
    const latest = caches.pipelines.get(key)
    // Writes may take long. The change of the pipeline has queued it anew.
    if (latest === undefined || !isSameSpec(latest, observed.object)) return undefined
    const faults = setback === undefined ? [] : worthTelling(setback, clock.now())
    // The failed write is tried again at once. Until then the objects do not match, and no fault is known to last.
    if (setback !== undefined && faults.length === 0) return undefined
    const outcome = { ...observed, ...known(key, record, latest), faults }
    // Others have changed objects since they were written. Their change has queued the pipeline, too.
    const isAsSettled = settling === 'AtRest' || course === undefined || setback !== undefined
    return isAsSettled || record.settled === basisOf(outcome, course) ? outcome : undefined
  }

  return {
    reconcile,
    touched(key) {
      const record = records.get(key)
      if (record?.setback !== undefined) record.setback = startedAnew(record.setback, clock.now(), settings.faultsEveryMs)
    },
    forgetAll() {
      for (const record of records.values()) {
        delete record.spec
        delete record.settled
        delete record.setback
        delete record.template
      }
    },
  }
}

/** The first record in this process: the Deployment before this run scaled it. */
function templateFound(deployment: DeploymentObject | undefined): PipelineRecord['template'] {
  if (deployment === undefined) return undefined
  const { uid = '', generation = 0 } = deployment.metadata
  return { uid, generation }
}

function templateOf({ template }: PipelineRecord, deployment: DeploymentObject | undefined): number | undefined {
  return template?.uid === deployment?.metadata.uid ? template?.generation : undefined
}

/**
 * The next look. A recent conflict is thrown, so that the queue retries it at once with back-off. Other faults wait until they are due.
 */
function nextLook(said: Pick<Report, 'requeueAfterMs'>, setback: Setback | undefined, nowMs: number): ReconcileResult {
  const inMs = setback === undefined ? undefined : setback.dueMs - nowMs
  const [fault] = setback?.faults ?? []
  // The queue does not retry a terminal error, so it is not thrown.
  if (inMs !== undefined && inMs <= 0 && fault?.error.retryable === true) throw fault.error
  const waits = [said.requeueAfterMs, inMs && Math.max(1, inMs)].filter((each) => each !== undefined)
  return waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }
}

/** The children found, with the written objects in place of their earlier versions. */
function asWritten(
  children: readonly KubernetesObject[],
  written: ReadonlyMap<string, KubernetesObject>,
): readonly KubernetesObject[] {
  const left = children.filter(({ metadata }) => !written.has(metadata.uid ?? ''))
  return [...left, ...written.values()]
}

function specOf(object: PipelineObject, read: CompiledPipeline | StreamPipelineError): ReadSpec {
  if (read instanceof StreamPipelineError) return { kind: 'Unsound', error: read }
  return {
    kind: 'Sound',
    pipeline: read,
    get resource() {
      return resourceOf(object)
    },
  }
}

/** The resource of a spec that was judged before. */
function resourceOf(object: PipelineObject): StreamPipeline {
  return admitted(object, admit(object))
}

async function parse(object: PipelineObject, judge: (value: unknown) => Promise<readonly Problem[]>): Promise<ReadSpec> {
  try {
    const { value, problems } = admit(object)
    const resource = admitted(object, { value, problems: [...problems, ...(await judge(value))] })
    return { kind: 'Sound', resource, pipeline: compilePipeline(resource) }
  } catch (thrown) {
    return { kind: 'Unsound', error: asFailure(thrown) }
  }
}

/** Only a missing object, or one that pipelines may not use, counts as absent: any other failure may pass. */
function unread(reference: Reference, error: StreamPipelineError): ReferenceState {
  const known = error.code === 'ReferenceMissing' || error.code === 'ReferenceRefused'
  return { kind: known ? 'Absent' : 'Unknown', reference, error }
}

function judged(spec: ReadSpec, object: PipelineObject, limits: Limits): ReadSpec {
  const refusal = spec.kind === 'Sound' ? policyRefusal(object, limits) : undefined
  return refusal === undefined ? spec : { kind: 'Unsound', error: refusal }
}

function isSameSpec({ metadata: one }: PipelineObject, { metadata: other }: PipelineObject): boolean {
  return one.uid === other.uid && one.generation === other.generation
}
