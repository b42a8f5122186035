/**
 * The shell around `plan`: gathers what one pipeline looks like now, carries the plan out, and reports. Objects written are put
 * into the caches at once, so that the next reconcile does not decide on what it has itself overtaken.
 */
import { compilePipeline, parsePipeline } from '../api/compile.ts'
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure, StreamPipelineError } from '../api/errors.ts'
import { byPipeline, type Caches } from './caches.ts'
import { type Applier, serverSideApply } from './kubernetes/apply.ts'
import type { Clock } from './kubernetes/clock.ts'
import type { Reconcile, ReconcileResult } from './kubernetes/controller.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type KubernetesObject, keyOf, resourcePath } from './kubernetes/objects.ts'
import type { EventRecorder } from './kubernetes/recorder.ts'
import { explained } from './kubernetes/refusals.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { ReferenceReader } from './observe/referencereader.ts'
import type { PipelineWatchers } from './observe/watchers.ts'
import type { DesiredChild } from './plan/children.ts'
import type { DeploymentObject } from './plan/deployment.ts'
import {
  configMapType,
  deploymentType,
  pipelineType,
  podType,
  scalerManager,
  serviceAccountType,
  statusManager,
} from './plan/kinds.ts'
import { consumerName, dispatchName, ownerReferenceOf } from './plan/names.ts'
import type { Fault, Observed, OperatorSettings, PipelineObject, PodObject, ReadSpec, ReferenceState } from './plan/observed.ts'
import { basisOf, type Course, courseOf, type Plan, plan, type Report, report } from './plan/plan.ts'
import { referencesOf } from './plan/references.ts'
import { deploymentStages, scale } from './plan/replicas.ts'
import { deletionCostAnnotation, markingsOf } from './plan/victims.ts'
import type { Limits } from './policy/limits.ts'
import { withoutPeer } from './policy/peers.ts'
import { podSecrets } from './policy/secrets.ts'
import { policyRefusal } from './policy/verdict.ts'
import { livingPods } from './reaping/suspects.ts'

interface ReconcilerParts {
  readonly transport: Transport
  readonly clock: Clock
  readonly caches: Caches
  readonly applier: Applier
  readonly recorder: EventRecorder
  readonly reader: ReferenceReader
  readonly watchers: PipelineWatchers
  readonly settings: OperatorSettings
  /** Of the served CustomResourceDefinition. */
  readonly schemaFault?: () => StreamPipelineError | undefined
  /** The pipeline is gone. */
  readonly onForgotten?: (key: string) => void
}

/** Failures in a row after which a fault that usually passes is told. */
const patience = 6

export function createReconciler(parts: ReconcilerParts): Reconcile {
  const { transport, clock, caches, applier, recorder, reader, watchers, settings, onForgotten = () => {} } = parts
  const specs = new Map<string, { readonly version: string; readonly read: CompiledPipeline | StreamPipelineError }>()
  const statusWritten = new Map<string, number>()
  /** What the last plan rested on that was carried out without a fault. */
  const settled = new Map<string, string>()
  /** Reconciles in a row with faults that usually pass. */
  const passing = new Map<string, number>()

  function forget(key: string): ReconcileResult {
    watchers.unwatch(key)
    specs.delete(key)
    statusWritten.delete(key)
    settled.delete(key)
    passing.delete(key)
    onForgotten(key)
    return {}
  }

  /** Contention is no news: it is told only when it does not pass. */
  function worthTelling(key: string, faults: readonly Fault[]): readonly Fault[] {
    if (!faults.some(({ error }) => isPassing(error))) {
      passing.delete(key)
      return faults
    }
    const times = (passing.get(key) ?? 0) + 1
    passing.set(key, times)
    return times >= patience ? faults : faults.filter(({ error }) => !isPassing(error))
  }

  /** Checking a spec runs all its rules, so it is done once per generation. What it was compiled from is seldom wanted again. */
  function readSpec(key: string, object: PipelineObject): ReadSpec {
    const version = `${object.metadata.uid ?? ''} ${object.metadata.generation ?? 0}`
    const held = specs.get(key)
    if (held?.version === version) return specOf(object, held.read)
    const spec = judged(parse(object), object, settings.limits)
    specs.set(key, { version, read: spec.kind === 'Sound' ? spec.pipeline : spec.error })
    return spec
  }

  async function gather(key: string, object: PipelineObject): Promise<Observed> {
    const { namespace = '', name = '' } = object.metadata
    const spec = readSpec(key, object)
    const wroteMs = statusWritten.get(key)
    const schemaFault = parts.schemaFault?.()
    return {
      object,
      spec,
      settings,
      deployment: caches.deployments.get(`${namespace}/${consumerName(name)}`),
      dispatch: caches.configMaps.get(`${namespace}/${dispatchName(name)}`),
      children: childrenOf(key),
      pods: caches.pods.indexed(byPipeline, key),
      references: spec.kind === 'Sound' ? await readReferences(spec, namespace) : [],
      observation: settings.manyTeams ? withoutPeer(watchers.observation(key)) : watchers.observation(key),
      faults: [],
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
          return {
            kind: 'Found',
            reference,
            value: await reader.read(namespace, reference, maxAgeMs),
          }
        } catch (thrown) {
          return { kind: 'Absent', reference, error: asFailure(thrown) }
        }
      }),
    )
    // Without a label to look for nothing is asked about Secrets that only the pods get.
    if (settings.limits.secretLabel === undefined) return read
    return [...read, ...(await refusedSecrets(spec, namespace, maxAgeMs))]
  }

  async function refusedSecrets(spec: Extract<ReadSpec, { kind: 'Sound' }>, namespace: string, maxAgeMs: number) {
    const states = podSecrets(spec.resource.spec.consumer).map(async (secret): Promise<ReferenceState[]> => {
      const reference = { kind: 'Secret', name: secret.name, key: '*', field: secret.field } as const
      const error = await reader.refusal(namespace, secret, maxAgeMs).catch(asFailure)
      return error === undefined ? [] : [{ kind: 'Absent', reference, error }]
    })
    return (await Promise.all(states)).flat()
  }

  async function applyChild(
    { type, object }: DesiredChild,
    observed: Observed,
    replicas: number,
    signal: AbortSignal,
  ): Promise<void> {
    const store = caches.children.get(type.kind)
    const cached = store?.get(`${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`)
    const outcome = await applier.apply(
      {
        type,
        desired: object,
        owner: ownerReferenceOf(observed.object),
        cached,
        ...(type === deploymentType
          ? {
              stages: (whole, live) =>
                deploymentStages(whole as DeploymentObject, replicas, live as DeploymentObject | undefined),
            }
          : {}),
      },
      signal,
    )
    if (outcome.kind === 'Applied') store?.set(outcome.object)
  }

  async function attempt(child: DesiredChild, work: () => Promise<void>, faults: Fault[], signal: AbortSignal): Promise<void> {
    const { type, object } = child
    try {
      await work()
    } catch (thrown) {
      if (signal.aborted) throw thrown
      faults.push({ subject: subjectOf(object), error: await explained(transport, thrown, type, object, signal) })
    }
  }

  /** The Deployment last, and only once what it rests on is in place: it would mount a stranger's configuration. */
  async function carryOut(intent: Plan, { replicas }: Course, observed: Observed, signal: AbortSignal): Promise<Fault[]> {
    const faults: Fault[] = []
    const one = (child: DesiredChild) => attempt(child, () => applyChild(child, observed, replicas, signal), faults, signal)
    await Promise.all(intent.apply.filter(({ type }) => type !== deploymentType).map(one))
    const name = consumerName(observed.object.metadata.name ?? '')
    const rests = [`${configMapType.kind} ${name}`, `${serviceAccountType.kind} ${name}`]
    if (faults.some(({ subject }) => rests.includes(subject))) return faults
    for (const child of intent.apply.filter(({ type }) => type === deploymentType)) await one(child)
    await markVictims(observed, replicas, faults, signal)
    const scaled = { type: deploymentType, object: scale(name, observed.object.metadata.namespace, replicas) }
    await attempt(scaled, () => scaleTo(observed.object, replicas, signal), faults, signal)
    for (const child of intent.delete) await attempt(child, () => remove(child, signal), faults, signal)
    return faults
  }

  async function settle(
    key: string,
    observed: Observed,
    course: Course | undefined,
    signal: AbortSignal,
  ): Promise<readonly Fault[]> {
    if (course === undefined || settled.get(key) === basisOf(observed, course)) return []
    settled.delete(key)
    const faults = await carryOut(plan(observed, course), course, observed, signal)
    // With the objects as they were written: whatever changes from then on is another basis.
    if (faults.length > 0) return faults
    const children = childrenOf(key)
    settled.set(key, basisOf({ ...observed, children }, course))
    for (const child of children) caches.children.get(child.kind ?? '')?.condense(keyOf(child))
    return faults
  }

  /** Before the number is lowered. A mark that cannot be set is told; what goes then is the ReplicaSet controller's choice. */
  async function markVictims(observed: Observed, replicas: number, faults: Fault[], signal: AbortSignal): Promise<void> {
    const { namespace = '', name = '' } = observed.object.metadata
    const current = caches.deployments.get(`${namespace}/${consumerName(name)}`)?.spec?.replicas
    if (current === undefined || current <= replicas) return
    const marked = markingsOf({ ...observed, pods: caches.pods.indexed(byPipeline, `${namespace}/${name}`) }, replicas, current)
    await Promise.all(
      marked.map(({ pod, cost }) => attempt({ type: podType, object: pod }, () => mark(pod, cost, signal), faults, signal)),
    )
  }

  async function mark({ metadata }: PodObject, cost: string | null, signal: AbortSignal): Promise<void> {
    const path = resourcePath(podType, metadata.namespace, metadata.name)
    const body = { metadata: { uid: metadata.uid, annotations: { [deletionCostAnnotation]: cost } } }
    const query = { fieldManager: scalerManager }
    try {
      await transport.request({ method: 'PATCH', path, query, body, contentType: 'application/merge-patch+json', signal })
    } catch (thrown) {
      // Gone meanwhile, or another pod by now.
      if (!isFailure(thrown, 'KubernetesNotFound') && !isFailure(thrown, 'KubernetesConflict')) throw thrown
    }
  }

  async function scaleTo(object: PipelineObject, replicas: number, signal: AbortSignal): Promise<void> {
    const { namespace = '', name = '' } = object.metadata
    const current = caches.deployments.get(`${namespace}/${consumerName(name)}`)
    if (current === undefined || current.spec?.replicas === replicas) return
    if (current.metadata.ownerReferences?.some(({ uid }) => uid === object.metadata.uid) !== true) return
    const wanted = scale(consumerName(name), namespace, replicas)
    const withUid = { ...wanted, metadata: { ...wanted.metadata, uid: current.metadata.uid ?? '' } }
    caches.deployments.set((await serverSideApply(transport, deploymentType, withUid, scalerManager, signal)) as DeploymentObject)
  }

  async function remove({ type, object }: DesiredChild, signal: AbortSignal): Promise<void> {
    const path = resourcePath(type, object.metadata.namespace, object.metadata.name)
    const body = { preconditions: { uid: object.metadata.uid }, propagationPolicy: 'Background' }
    try {
      await transport.request({ method: 'DELETE', path, body, signal })
    } catch (thrown) {
      if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
    }
  }

  async function write(key: string, object: PipelineObject, said: Report, signal: AbortSignal): Promise<void> {
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
    statusWritten.set(key, clock.wall().getTime())
    for (const event of said.events) recorder.record(object, event)
  }

  return async (key, signal) => {
    const object = caches.pipelines.get(key)
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return forget(key)
    const observed = await gather(key, object)
    const course = courseOf(observed, clock.wall().getTime())
    if (observed.spec.kind === 'Sound') {
      watchers.watch(key, {
        pipeline: observed.spec.pipeline,
        currentReplicas: observed.deployment?.spec?.replicas,
        mode: course?.mode,
        livingPods: livingPods(observed.pods),
      })
    } else {
      watchers.unwatch(key)
    }
    const faults = await settle(key, observed, course, signal)
    const told = worthTelling(key, faults)
    const outcome = {
      ...observed,
      faults: told,
      deployment: caches.deployments.get(keyOfDeployment(object)) ?? observed.deployment,
    }
    const said = report(outcome, clock.wall().getTime())
    await write(key, object, said, signal)
    return nextLook(said, faults, told, settings.faultsEveryMs)
  }
}

/** Contention is retried at once, with back-off, while it is too young to be told; the rest is looked at again at a steady pace. */
function nextLook(said: Report, faults: readonly Fault[], told: readonly Fault[], faultsEveryMs: number): ReconcileResult {
  const young = faults.find((fault) => !told.includes(fault))
  if (young !== undefined) throw young.error
  const waits = [
    ...(said.requeueAfterMs === undefined ? [] : [said.requeueAfterMs]),
    ...(faults.length > 0 ? [faultsEveryMs] : []),
  ]
  return waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }
}

function isPassing(error: StreamPipelineError): boolean {
  return error.code === 'KubernetesConflict' || error.code === 'KubernetesBusy' || error.code === 'KubernetesUnreachable'
}

function specOf(object: PipelineObject, read: CompiledPipeline | StreamPipelineError): ReadSpec {
  if (read instanceof StreamPipelineError) return { kind: 'Unsound', error: read }
  return {
    kind: 'Sound',
    pipeline: read,
    get resource() {
      return parsePipeline(object)
    },
  }
}

function parse(object: PipelineObject): ReadSpec {
  try {
    const resource = parsePipeline(object)
    return { kind: 'Sound', resource, pipeline: compilePipeline(resource) }
  } catch (thrown) {
    return { kind: 'Unsound', error: asFailure(thrown) }
  }
}

function judged(spec: ReadSpec, object: PipelineObject, limits: Limits): ReadSpec {
  const refusal = spec.kind === 'Sound' ? policyRefusal(object, limits) : undefined
  return refusal === undefined ? spec : { kind: 'Unsound', error: refusal }
}

function subjectOf(object: KubernetesObject): string {
  return `${object.kind ?? 'object'} ${object.metadata.name ?? ''}`
}

function keyOfDeployment(object: PipelineObject): string {
  return `${object.metadata.namespace ?? ''}/${consumerName(object.metadata.name ?? '')}`
}
