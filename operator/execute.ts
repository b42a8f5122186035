/**
 * Carries out the plan of one pipeline, object by object. A failed object becomes a fault; the others go on. Written objects enter the
 * caches at once, so that the next reconcile does not decide on an older state.
 */
import { type ErrorCode, failure } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { byPipeline, type Caches } from './caches.ts'
import { type Applier, serverSideApply } from './kubernetes/apply.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from './kubernetes/objects.ts'
import type { Explain } from './kubernetes/refusals.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { DesiredChild } from './plan/children.ts'
import type { DeploymentObject } from './plan/deployment.ts'
import { configMapType, deploymentType, podType, scalerManager, serviceAccountType } from './plan/kinds.ts'
import { consumerName, ownerReferenceOf } from './plan/names.ts'
import type { Fault, Observed, PipelineObject, PodObject } from './plan/observed.ts'
import type { Course, Plan } from './plan/plan.ts'
import { deploymentStages, scale } from './plan/replicas.ts'
import { deletionCostAnnotation, markingsOf } from './plan/victims.ts'
import { createScaleFights } from './scalefights.ts'
import { createSpecJudge } from './specjudge.ts'

interface ExecutorParts {
  readonly transport: Transport
  readonly clock: Pick<Clock, 'now'>
  readonly caches: Caches
  readonly applier: Applier
  readonly explain: Explain
  /** The operator took over an object that had lost its owner; `subject` is for example `Deployment ndvi-consumer`. */
  readonly onAdopted?: ((object: PipelineObject, subject: string) => void) | undefined
}

interface Executed {
  readonly faults: readonly Fault[]
  /** Objects written, as the API server returned them, by uid. A later difference is another writer's change. */
  readonly written: ReadonlyMap<string, KubernetesObject>
  /** The Deployment and its generation after a write of its template. Undefined: no write was needed. */
  readonly template?: { readonly uid: string; readonly generation: number }
}

/** State of one execution of a plan. */
interface Run {
  readonly observed: Observed
  readonly replicas: number
  readonly signal: AbortSignal
  readonly faults: Fault[]
  readonly written: Map<string, KubernetesObject>
  template?: { readonly uid: string; readonly generation: number }
}

type Execute = (intent: Plan, course: Course, observed: Observed, signal: AbortSignal) => Promise<Executed>

export function createExecute({ transport, clock, caches, applier, explain, onAdopted = () => {} }: ExecutorParts): Execute {
  const judge = createSpecJudge(transport)
  const fights = createScaleFights(transport, clock)
  function keep(run: Run, object: KubernetesObject): void {
    run.written.set(object.metadata.uid ?? '', object)
  }

  async function applyChild({ type, object }: DesiredChild, run: Run): Promise<void> {
    const { observed, replicas, signal } = run
    const store = caches.children.get(type.kind)
    const cached = store?.get(`${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`)
    const stages = (whole: KubernetesObject, live: KubernetesObject | undefined) =>
      deploymentStages(whole as DeploymentObject, replicas, live as DeploymentObject | undefined)
    const request = { type, desired: object, owner: ownerReferenceOf(observed.object), cached }
    const outcome = await applier.apply(type === deploymentType ? { ...request, stages } : request, signal)
    if (outcome.kind === 'Skipped') return
    if (outcome.adopted) onAdopted(observed.object, subjectOf(object))
    store?.set(outcome.object)
    keep(run, outcome.object)
    const { uid = '', generation = 0 } = outcome.object.metadata
    if (type === deploymentType) run.template = { uid, generation }
  }

  async function attempt({ type, object }: DesiredChild, run: Run, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (thrown) {
      if (run.signal.aborted) throw thrown
      const error = await explain(thrown, type, object, run.signal)
      run.faults.push({
        subject: subjectOf(object),
        error: type === deploymentType ? await judge(error, object, run.signal) : error,
      })
    }
  }

  /**
   * Runs before the number of replicas is lowered. A mark that fails becomes a fault; the ReplicaSet controller then chooses the pods.
   */
  async function markVictims(run: Run): Promise<void> {
    const { observed, replicas } = run
    const { namespace = '', name = '' } = observed.object.metadata
    const current = caches.deployments.get(`${namespace}/${consumerName(name)}`)?.spec?.replicas
    if (current === undefined || current <= replicas) return
    const marked = markingsOf({ ...observed, pods: caches.pods.indexed(byPipeline, `${namespace}/${name}`) }, replicas, current)
    await Promise.all(
      marked.map(({ pod, cost }) => attempt({ type: podType, object: pod }, run, () => mark(pod, cost, run.signal))),
    )
  }

  async function mark({ metadata }: PodObject, cost: string | null, signal: AbortSignal): Promise<void> {
    const path = resourcePath(podType, metadata.namespace, metadata.name)
    const body = { metadata: { uid: metadata.uid, annotations: { [deletionCostAnnotation]: cost } } }
    const query = { fieldManager: scalerManager }
    try {
      await transport.request({ method: 'PATCH', path, query, body, contentType: 'application/merge-patch+json', signal })
    } catch (thrown) {
      // The pod is gone, or another pod has its name.
      if (!isFailure(thrown, 'KubernetesNotFound') && !isFailure(thrown, 'KubernetesConflict')) throw thrown
    }
  }

  async function scaleTo({ observed, replicas, ...run }: Run): Promise<void> {
    const { namespace = '', name = '', uid } = observed.object.metadata
    const current = caches.deployments.get(`${namespace}/${consumerName(name)}`)
    if (current === undefined || current.spec?.replicas === replicas) return
    // The preceding apply confirmed the owner; another writer has removed the reference since then.
    if (current.metadata.ownerReferences?.some((each) => each.uid === uid) !== true)
      throw failure('KubernetesConflict', {
        subject: `Deployment ${consumerName(name)}`,
        detail: 'it lost its reference to this pipeline',
      })
    await fights.check(current, run.signal)
    const wanted = scale(consumerName(name), namespace, replicas)
    const withUid = { ...wanted, metadata: { ...wanted.metadata, uid: current.metadata.uid ?? '' } }
    const scaled = await serverSideApply(transport, deploymentType, withUid, scalerManager, run.signal)
    caches.deployments.set(scaled as DeploymentObject)
    fights.wrote(scaled.metadata.uid ?? '', replicas)
    keep({ observed, replicas, ...run }, scaled)
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

  return async (intent, { replicas }, observed, signal) => {
    const run: Run = { observed, replicas, signal, faults: [], written: new Map() }
    const { faults } = run
    const one = (child: DesiredChild) => attempt(child, run, () => applyChild(child, run))
    await Promise.all(intent.apply.filter(({ type }) => type !== deploymentType).map(one))
    // The Deployment comes last, and only if its ConfigMap and ServiceAccount are ours. It would else mount another owner's
    // configuration.
    const name = consumerName(observed.object.metadata.name ?? '')
    const rests = [`${configMapType.kind} ${name}`, `${serviceAccountType.kind} ${name}`]
    if (faults.some(({ subject }) => rests.includes(subject))) return run
    const deployments = intent.apply.filter(({ type }) => type === deploymentType)
    for (const child of deployments) await one(child)
    // A Deployment whose change is refused is still scaled. One that is another writer's, or is being deleted, is not.
    const isAnothers = faults.some(
      ({ subject, error }) => subject === `${deploymentType.kind} ${name}` && notToWrite.includes(error.code),
    )
    if (!isAnothers) {
      await markVictims(run)
      const scaled = { type: deploymentType, object: scale(name, observed.object.metadata.namespace, replicas) }
      await attempt(scaled, run, () => scaleTo(run))
    }
    for (const child of intent.delete) await attempt(child, run, () => remove(child, signal))
    return run
  }
}

const notToWrite: readonly ErrorCode[] = ['NameTaken', 'BeingDeleted', 'Contended']

function subjectOf(object: KubernetesObject): string {
  return `${object.kind ?? 'object'} ${object.metadata.name ?? ''}`
}
