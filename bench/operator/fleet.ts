/** Many pipelines on an API server without kubelet: created, changed, watched. It marks their Deployments available. */

import { type KubernetesObject, resourcePath } from '../../operator/kubernetes/objects.ts'
import { createReflector } from '../../operator/kubernetes/reflector.ts'
import { createStore, type MutableStore } from '../../operator/kubernetes/store.ts'
import type { Transport } from '../../operator/kubernetes/transport.ts'
import type { DeploymentObject } from '../../operator/plan/deployment.ts'
import { deploymentType, pipelineType } from '../../operator/plan/kinds.ts'
import type { PipelineObject } from '../../operator/plan/observed.ts'
import { systemClock } from '../../process/clock.ts'
import type { Scope } from '../../test/support/scope.ts'

const namespace = 'default'
const merge = 'application/merge-patch+json'
const atOnce = 24

interface Fleet {
  readonly pipelines: MutableStore<PipelineObject>
  readonly deployments: MutableStore<DeploymentObject>
  /** Names, in order. */
  readonly names: readonly string[]
  create(): Promise<void>
  /** Resets every status, as before the first look of an operator. */
  forget(): Promise<void>
  patch(name: string, spec: object): Promise<void>
  /** Pipelines whose condition Ready is True for their present generation. */
  ready(): number
  /** Resolves with the time at which the Deployment's template next changes. */
  rolled(name: string): Promise<number>
}

export async function startFleet(scope: Scope, transport: Transport, count: number, redisUrl: string): Promise<Fleet> {
  const names = Array.from({ length: count }, (_, n) => `p${String(n).padStart(5, '0')}`)
  const waiting = new Map<string, (atMs: number) => void>()
  /** By uid of a Deployment: the generation that was marked last. */
  const marked = new Map<string, number>()
  const pipelines = createStore<PipelineObject>()
  const deployments = createStore<DeploymentObject>({
    handlers: [
      (change) => {
        if (change.kind === 'Removed') return
        const { object, before } = change
        const name = object.metadata.name?.replace(/-consumer$/, '') ?? ''
        // As the Deployment controller does: a rollout counts as seen only for the generation that its status names.
        const { uid = '', generation = 0 } = object.metadata
        if (object.status?.observedGeneration !== generation && marked.get(uid) !== generation) {
          marked.set(uid, generation)
          void available(object)
        }
        if (before !== undefined && before.metadata.generation !== object.metadata.generation) {
          waiting.get(name)?.(performance.now())
          waiting.delete(name)
        }
      },
    ],
  })
  const stop = new AbortController()
  const follow = [
    createReflector({ transport, clock: systemClock, type: pipelineType }, pipelines),
    createReflector({ transport, clock: systemClock, type: deploymentType }, deployments),
  ]
  const running = follow.map((reflector) => reflector.run(stop.signal))
  scope.after(async () => {
    stop.abort()
    await Promise.all(running)
  })
  await Promise.all(follow.map((reflector) => reflector.whenSynced))

  async function available({ metadata }: DeploymentObject): Promise<void> {
    const { generation } = metadata
    const body = {
      status: { observedGeneration: generation, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 },
    }
    const path = resourcePath(deploymentType, namespace, metadata.name, 'status')
    try {
      await transport.request({ method: 'PATCH', path, contentType: merge, body })
    } catch (thrown) {
      if (!stop.signal.aborted) console.error(`a Deployment could not be marked available: ${String(thrown)}`)
    }
  }

  async function each(work: (name: string) => Promise<unknown>): Promise<void> {
    const rest = [...names]
    const turn = async () => {
      for (let name = rest.shift(); name !== undefined; name = rest.shift()) await work(name)
    }
    await Promise.all(Array.from({ length: atOnce }, turn))
  }

  return {
    pipelines,
    deployments,
    names,
    create: () =>
      each((name) =>
        transport.request({ method: 'POST', path: resourcePath(pipelineType, namespace), body: pipeline(name, redisUrl) }),
      ),
    forget: () =>
      each((name) => {
        const path = resourcePath(pipelineType, namespace, name, 'status')
        return transport.request({ method: 'PATCH', path, contentType: merge, body: { status: null } })
      }),
    async patch(name, spec) {
      await transport.request({
        method: 'PATCH',
        path: resourcePath(pipelineType, namespace, name),
        contentType: merge,
        body: { spec },
      })
    },
    ready: () => pipelines.list().filter(isReady).length,
    rolled: (name) => new Promise((resolve) => waiting.set(name, resolve)),
  }
}

function isReady({ status, metadata }: PipelineObject): boolean {
  return (
    status?.observedGeneration === metadata.generation &&
    status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true
  )
}

function pipeline(name: string, url: string): KubernetesObject {
  return {
    apiVersion: pipelineType.apiVersion,
    kind: pipelineType.kind,
    metadata: { name, namespace },
    spec: { redis: { url }, source: { stream: `${name}:jobs`, group: name }, sink: { bullmq: { queue: name } } },
  } as KubernetesObject
}
