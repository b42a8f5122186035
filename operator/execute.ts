/**
 * Carries out the plan of one pipeline, object by object. A write that fails is listed; the others go on. Written objects enter the
 * caches at once, so that the next reconcile does not decide on an older state.
 */
import type { ErrorCode } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import type { Caches } from './caches.ts'
import type { Applier } from './kubernetes/apply.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type KubernetesObject, keyOf, resourcePath } from './kubernetes/objects.ts'
import type { Explain } from './kubernetes/refusals.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { DesiredChild } from './plan/children.ts'
import type { DeploymentObject } from './plan/deployment.ts'
import { configMapType, deploymentType, podType, serviceAccountType } from './plan/kinds.ts'
import { consumerName, ownerReferenceOf } from './plan/names.ts'
import type { FailedWrite, Observed, PipelineObject } from './plan/observed.ts'
import type { Plan, Target } from './plan/plan.ts'
import { deploymentStages, scale } from './plan/replicas.ts'
import { type TemplateRecord, templateWritten } from './record.ts'
import { createScaler } from './scaler.ts'
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
  readonly failures: readonly FailedWrite[]
  /** Objects written, as the API server returned them, by uid. A later difference is another writer's change. */
  readonly written: ReadonlyMap<string, KubernetesObject>
  /** A write of the Deployment's template. Undefined: no write was needed. */
  readonly template?: TemplateRecord
}

/** State of one execution of a plan. */
interface Run {
  readonly observed: Observed
  readonly replicas: number
  readonly signal: AbortSignal
  readonly failures: FailedWrite[]
  readonly written: Map<string, KubernetesObject>
  template?: TemplateRecord
  /** The Deployment with our template, before this run scaled it. */
  asApplied?: KubernetesObject | undefined
}

export type Execute = (intent: Plan, target: Target, observed: Observed, signal: AbortSignal) => Promise<Executed>

export function createExecute({ transport, clock, caches, applier, explain, onAdopted = () => {} }: ExecutorParts): Execute {
  const judge = createSpecJudge(transport)
  const scaler = createScaler({ transport, clock, caches })

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
    if (type === deploymentType) run.asApplied = outcome.kind === 'Skipped' ? cached : outcome.object
    if (outcome.kind === 'Skipped') return
    if (outcome.adopted) onAdopted(observed.object, subjectOf(object))
    store?.set(outcome.object)
    const { uid } = outcome.object.metadata
    // The watch reported its deletion before the answer came. The applier would take it as applied.
    if (store !== undefined && store.get(keyOf(outcome.object)) === undefined) applier.forget(type, keyOf(outcome.object), uid)
    keep(run, outcome.object)
    const written = type === deploymentType ? templateWritten(cached, outcome.object) : undefined
    if (written !== undefined) run.template = written
  }

  async function attempt({ type, object }: DesiredChild, run: Run, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (thrown) {
      if (run.signal.aborted) throw thrown
      const error = await explain(thrown, type, object, run.signal)
      run.failures.push({
        subject: subjectOf(object),
        error: type === deploymentType ? await judge(error, object, run.signal) : error,
      })
    }
  }

  /**
   * If a pod cannot get its deletion cost (victims.ts), that is listed as a failure, and the ReplicaSet controller chooses the
   * pods.
   */
  async function scaleDeployment(run: Run): Promise<void> {
    const { observed, replicas, signal } = run
    const markings = scaler.markings(observed, replicas)
    await Promise.all(markings.map(({ pod, mark }) => attempt({ type: podType, object: pod }, run, () => mark(signal))))
    const { name = '', namespace } = observed.object.metadata
    const target = { type: deploymentType, object: scale(consumerName(name), namespace, replicas) }
    await attempt(target, run, async () => {
      const before = run.asApplied ?? caches.deployments.get(`${namespace ?? ''}/${consumerName(name)}`)
      const scaled = await scaler.scaleTo(observed, replicas, signal)
      if (scaled !== undefined) keep(run, scaledFrom(before ?? scaled, scaled))
    })
  }

  return async (intent, { replicas }, observed, signal) => {
    const run: Run = { observed, replicas, signal, failures: [], written: new Map() }
    const { failures } = run
    const one = (child: DesiredChild) => attempt(child, run, () => applyChild(child, run))
    await Promise.all(intent.apply.filter(({ type }) => type !== deploymentType).map(one))
    // The Deployment comes last, and only if its ConfigMap and ServiceAccount are ours. It would else mount another owner's
    // configuration.
    const name = consumerName(observed.object.metadata.name ?? '')
    const rests = [`${configMapType.kind} ${name}`, `${serviceAccountType.kind} ${name}`]
    if (failures.some(({ subject }) => rests.includes(subject))) return run
    const deployments = intent.apply.filter(({ type }) => type === deploymentType)
    for (const child of deployments) await one(child)
    // A Deployment whose change is refused is still scaled. One that is another writer's, or is being deleted, is not.
    const isAnothers = failures.some(
      ({ subject, error }) => subject === `${deploymentType.kind} ${name}` && notToWrite.includes(error.code),
    )
    if (!isAnothers) await scaleDeployment(run)
    for (const child of intent.delete) await attempt(child, run, () => remove(transport, child, signal))
    return run
  }
}

const notToWrite: readonly ErrorCode[] = ['NameTaken', 'BeingDeleted', 'Contended']

/**
 * The Deployment as our two writes alone leave it. The answer to a slow write also holds the changes that others made meanwhile. A
 * write of the number of replicas moves `generation` by one.
 */
function scaledFrom({ metadata }: KubernetesObject, scaled: KubernetesObject): KubernetesObject {
  return { ...scaled, metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 } }
}

function subjectOf(object: KubernetesObject): string {
  return `${object.kind ?? 'object'} ${object.metadata.name ?? ''}`
}

async function remove(transport: Transport, { type, object }: DesiredChild, signal: AbortSignal): Promise<void> {
  const path = resourcePath(type, object.metadata.namespace, object.metadata.name)
  const body = { preconditions: { uid: object.metadata.uid }, propagationPolicy: 'Background' }
  try {
    await transport.request({ method: 'DELETE', path, body, signal })
  } catch (thrown) {
    if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
  }
}
