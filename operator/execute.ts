/**
 * Carries one pipeline's plan out, object by object. What fails is a fault of that object; the rest goes on. Objects written are put
 * into the caches at once, so that the next reconcile does not decide on what it has itself overtaken.
 */
import { type ErrorCode, failure } from '../api/errors.ts'
import { byPipeline, type Caches } from './caches.ts'
import { type Applier, serverSideApply } from './kubernetes/apply.ts'
import type { Clock } from './kubernetes/clock.ts'
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
  /** An object that had lost its owner was taken over; `Deployment ndvi-consumer`. */
  readonly onAdopted?: ((object: PipelineObject, subject: string) => void) | undefined
}

interface Executed {
  readonly faults: readonly Fault[]
  /** What was written, as the API server returned it, by uid. What differs from it later was changed by others. */
  readonly written: ReadonlyMap<string, KubernetesObject>
  /** The Deployment and its generation after its template was written; undefined: it was as it should be. */
  readonly template?: { readonly uid: string; readonly generation: number }
}

/** Of one run. */
interface Run {
  readonly observed: Observed
  readonly replicas: number
  readonly signal: AbortSignal
  readonly faults: Fault[]
  readonly written: Map<string, KubernetesObject>
  template?: { readonly uid: string; readonly generation: number }
}

export type Execute = (intent: Plan, course: Course, observed: Observed, signal: AbortSignal) => Promise<Executed>

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

  /** Before the number is lowered. A mark that cannot be set is told; what goes then is the ReplicaSet controller's choice. */
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
      // Gone meanwhile, or another pod by now.
      if (!isFailure(thrown, 'KubernetesNotFound') && !isFailure(thrown, 'KubernetesConflict')) throw thrown
    }
  }

  async function scaleTo({ observed, replicas, ...run }: Run): Promise<void> {
    const { namespace = '', name = '', uid } = observed.object.metadata
    const current = caches.deployments.get(`${namespace}/${consumerName(name)}`)
    if (current === undefined || current.spec?.replicas === replicas) return
    // The apply before this one has judged whose it is; since then somebody took it away.
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
    // The Deployment last, and only once what it rests on is in place: it would mount a stranger's configuration.
    const name = consumerName(observed.object.metadata.name ?? '')
    const rests = [`${configMapType.kind} ${name}`, `${serviceAccountType.kind} ${name}`]
    if (faults.some(({ subject }) => rests.includes(subject))) return run
    const deployments = intent.apply.filter(({ type }) => type === deploymentType)
    for (const child of deployments) await one(child)
    // One that is merely refused a change is scaled; one that is another's to write, or on its way out, is not.
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
