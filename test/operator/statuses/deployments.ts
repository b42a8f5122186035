/**
 * The Deployment controller of the simulated cluster: replaces pods by its template with a surge, and reports numbers and conditions as
 * Kubernetes' own does (pkg/controller/deployment: syncRolloutStatus, checkPausedConditions, DeploymentComplete, DeploymentTimedOut).
 */
import { createHash } from 'node:crypto'
import type { ApiServer, Stored } from './apiserver.ts'
import type { Pods, PodTruth } from './pods.ts'
import { epochMs, type Time } from './time.ts'

export interface DeploymentSpec {
  readonly replicas?: number
  readonly paused?: boolean
  readonly template?: {
    readonly metadata?: {
      readonly labels?: Readonly<Record<string, string>>
      readonly annotations?: Readonly<Record<string, string>>
    }
    readonly spec?: { readonly containers?: readonly { readonly image?: string }[] }
  }
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly lastUpdateTime: string
}

export interface DeploymentStatus {
  readonly observedGeneration?: number
  readonly replicas?: number
  readonly updatedReplicas?: number
  readonly readyReplicas?: number
  readonly availableReplicas?: number
  readonly conditions?: readonly Condition[]
}

/** Of the simulated Deployments. */
export const deadlineMs = 40_000

const hashes = new WeakMap<Stored, string>()

export function templateOf(object: Stored): string {
  const known = hashes.get(object)
  if (known !== undefined) return known
  const { template } = (object.spec ?? {}) as DeploymentSpec
  const hash = createHash('sha256')
    .update(JSON.stringify(template ?? null))
    .digest('hex')
    .slice(0, 10)
  hashes.set(object, hash)
  return hash
}

interface Parts {
  readonly time: Time
  readonly random: () => number
  readonly api: ApiServer
  readonly pods: Pods
}

export interface Deployments {
  /** Something changed that the controller reacts to. */
  touch(key: string): void
  /** Most pods; undefined: no quota. */
  quota: number | undefined
  /** The controller is slow by so much. */
  slowMs: number
}

export function createDeployments({ time, random, api, pods }: Parts): Deployments {
  const soon = new Set<string>()
  const polled = new Set<string>()
  /** Templates with a ReplicaSet, by the Deployment's uid. */
  const known = new Map<string, Set<string>>()
  let made = 0
  const stamp = () => new Date(epochMs + time.nowMs).toISOString()

  function sync(key: string): void {
    const object = api.get('deployments', key)
    const mine = pods.list().filter((pod) => pod.key.startsWith(`${key}-`))
    if (object === undefined) {
      for (const pod of mine) pods.end(pod.key)
      return
    }
    const spec = object.spec as DeploymentSpec
    const before = (object.status ?? {}) as DeploymentStatus
    const template = templateOf(object)
    const templates = known.get(object.metadata.uid ?? '') ?? new Set<string>()
    known.set(object.metadata.uid ?? '', templates)
    const refused = scaleAndRoll(
      object,
      spec,
      template,
      mine.filter((pod) => !pod.leaving && !pod.ended),
    )
    const now = pods.list().filter((pod) => pod.key.startsWith(`${key}-`) && !pod.leaving && !pod.ended)
    const numbers = numbersOf(now, template)
    const conditions = conditionsOf(spec, before, numbers, !templates.has(template), refused)
    if (spec.paused !== true) templates.add(template)
    const status = { observedGeneration: object.metadata.generation ?? 0, ...numbers, conditions }
    if (JSON.stringify(status) !== JSON.stringify(before)) api.setStatus('deployments', key, status)
    if (conditions.find(({ type }) => type === 'Progressing')?.reason !== 'NewReplicaSetAvailable') poll(key)
  }

  /** Returns the reason why pods are refused. */
  function scaleAndRoll(object: Stored, spec: DeploymentSpec, template: string, active: readonly PodTruth[]): string | undefined {
    const wanted = spec.replicas ?? 1
    const fresh = active.filter((pod) => pod.template === template)
    const old = active.filter((pod) => pod.template !== template)
    if (spec.paused === true) {
      // A paused Deployment only scales what it has.
      const held = old.length > 0 ? undefined : template
      if (active.length > wanted) remove(active, active.length - wanted)
      return held === undefined ? undefined : make(object, spec, template, wanted - active.length, active.length)
    }
    const most = old.length === 0 ? wanted : wanted + Math.max(1, Math.ceil(wanted / 4))
    const refused = make(object, spec, template, Math.min(wanted - fresh.length, most - active.length), active.length)
    if (fresh.length > wanted) remove(fresh, fresh.length - wanted)
    const [ready, starting] = [active.filter((pod) => pod.ready).length, fresh.filter((pod) => !pod.ready).length]
    const down = active.length - wanted - starting
    const unready = old.filter((pod) => !pod.ready).slice(0, Math.max(0, down))
    const spare = old.filter((pod) => pod.ready).slice(0, Math.max(0, Math.min(ready - wanted, down - unready.length)))
    for (const pod of [...unready, ...spare]) pods.end(pod.key)
    return refused
  }

  function remove(some: readonly PodTruth[], count: number): void {
    for (const pod of some.toSorted((a, b) => Number(a.ready) - Number(b.ready)).slice(0, count)) pods.end(pod.key)
  }

  function make(object: Stored, spec: DeploymentSpec, template: string, count: number, active: number): string | undefined {
    for (let n = 0; n < count; n++) {
      if (result.quota !== undefined && active + n >= result.quota) return 'pods "x" is forbidden: exceeded quota: tight'
      const { namespace = '', name = '' } = object.metadata
      const metadata = { name: `${name}-${template}-${made++}`, namespace, labels: spec.template?.metadata?.labels ?? {} }
      pods.make(metadata, template, spec.template?.spec?.containers?.[0]?.image ?? '')
    }
    return undefined
  }

  function numbersOf(active: readonly PodTruth[], template: string) {
    const ready = active.filter((pod) => pod.ready).length
    const updatedReplicas = active.filter((pod) => pod.template === template).length
    return { replicas: active.length, updatedReplicas, readyReplicas: ready, availableReplicas: ready }
  }

  type Numbers = ReturnType<typeof numbersOf>

  function conditionsOf(
    spec: DeploymentSpec,
    before: DeploymentStatus,
    now: Numbers,
    isNew: boolean,
    refused: string | undefined,
  ): readonly Condition[] {
    const last = before.conditions?.find(({ type }) => type === 'Progressing')
    const failure =
      refused === undefined
        ? []
        : [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: refused, lastUpdateTime: '' }]
    return [progressing(spec, before, now, isNew, last), ...failure]
  }

  function progressing(
    spec: DeploymentSpec,
    before: DeploymentStatus,
    now: Numbers,
    isNew: boolean,
    last: Condition | undefined,
  ): Condition {
    const condition = (status: string, reason: string, message = ''): Condition =>
      last?.reason === reason && reason !== 'ReplicaSetUpdated'
        ? last
        : { type: 'Progressing', status, reason, message, lastUpdateTime: stamp() }
    const wanted = spec.replicas ?? 1
    // checkPausedConditions: "If we have reported lack of progress, do not overwrite it with a paused condition."
    if (spec.paused === true)
      return last?.reason === 'ProgressDeadlineExceeded' ? last : condition('Unknown', 'DeploymentPaused', 'Deployment is paused')
    if (last?.reason === 'DeploymentPaused') return condition('Unknown', 'DeploymentResumed', 'Deployment is resumed')
    if (isNew)
      return { type: 'Progressing', status: 'True', reason: 'NewReplicaSetCreated', message: '', lastUpdateTime: stamp() }
    if (now.replicas === now.updatedReplicas && last?.reason === 'NewReplicaSetAvailable') return last
    const complete = now.updatedReplicas === wanted && now.replicas === wanted && now.availableReplicas === wanted
    if (complete) return condition('True', 'NewReplicaSetAvailable')
    const { updatedReplicas = 0, replicas = 0, readyReplicas = 0 } = before
    const moved =
      now.updatedReplicas > updatedReplicas ||
      now.replicas - now.updatedReplicas < replicas - updatedReplicas ||
      now.readyReplicas > readyReplicas
    if (moved || last === undefined) return condition('True', 'ReplicaSetUpdated')
    if (last.reason === 'NewReplicaSetAvailable') return last
    const isLate = epochMs + time.nowMs - Date.parse(last.lastUpdateTime) > deadlineMs
    return isLate ? condition('False', 'ProgressDeadlineExceeded', 'ReplicaSet has timed out progressing.') : last
  }

  function poll(key: string): void {
    if (polled.has(key)) return
    polled.add(key)
    time.at(5_000, () => {
      polled.delete(key)
      result.touch(key)
    })
  }

  const result: Deployments = {
    quota: undefined,
    slowMs: 0,
    touch(key) {
      if (soon.has(key)) return
      soon.add(key)
      time.at(20 + 200 * random() + result.slowMs, () => {
        soon.delete(key)
        sync(key)
      })
    },
  }
  return result
}
