/**
 * Replaces a node: it binds each new pod, runs its consumer, and marks it ready. When a pod is deleted, its consumer drains
 * before the pod is removed. Kubernetes' own controllers create and delete the pods.
 */

import { isFailure } from '../../operator/kubernetes/errors.ts'
import { keyOf, resourcePath } from '../../operator/kubernetes/objects.ts'
import { createReflector } from '../../operator/kubernetes/reflector.ts'
import { createStore, type Store } from '../../operator/kubernetes/store.ts'
import type { Transport } from '../../operator/kubernetes/transport.ts'
import { podType } from '../../operator/plan/kinds.ts'
import type { PodObject } from '../../operator/plan/observed.ts'
import { deletionCostAnnotation } from '../../operator/plan/victims.ts'
import { systemClock } from '../../process/clock.ts'
import type { Scope } from '../../test/support/scope.ts'

/** A consumer at work in a pod. */
export interface Program {
  /** As SIGTERM: settles or hands back its entries, and ends. */
  stop(): Promise<void>
}

/** Resolves when it takes entries. */
type RunPod = (pod: PodObject) => Promise<Program>

interface Departure {
  readonly pod: PodObject
  /** Its deletion cost at the time of its deletion; undefined: no mark. */
  readonly cost: number | undefined
}

interface Kubelet {
  readonly pods: Store<PodObject>
  /** Pods that are gone, in order. */
  readonly departed: readonly Departure[]
  /** Failed actions. */
  readonly failures: readonly string[]
}

export function startKubelet(scope: Scope, transport: Transport, run: RunPod): Kubelet {
  const programs = new Map<string, Promise<Program>>()
  const leaving = new Set<string>()
  const departed: Departure[] = []
  const failures: string[] = []
  const stop = new AbortController()

  async function begin(pod: PodObject): Promise<Program> {
    const { namespace, name } = pod.metadata
    const target = { apiVersion: 'v1', kind: 'Node', name: 'simulated' }
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target }
    await request('POST', pod, 'binding', binding)
    await request('PATCH', pod, 'status', { status: { phase: 'Running' } })
    const program = await run(pod)
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z/, 'Z')
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }]
    await request('PATCH', pod, 'status', { status: { phase: 'Running', conditions } })
    return program
  }

  async function end(pod: PodObject): Promise<void> {
    const cost = pod.metadata.annotations?.[deletionCostAnnotation]
    departed.push({ pod, cost: cost === undefined ? undefined : Number(cost) })
    const program = await programs.get(keyOf(pod))
    await program?.stop()
    programs.delete(keyOf(pod))
    await request('DELETE', pod, undefined, { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid } })
  }

  async function request(method: 'POST' | 'PATCH' | 'DELETE', pod: PodObject, subresource: string | undefined, body: unknown) {
    const { namespace, name } = pod.metadata
    const path = resourcePath(podType, namespace, name, subresource)
    try {
      await transport.request({
        method,
        path,
        body,
        ...(method === 'PATCH' && { contentType: 'application/merge-patch+json' as const }),
      })
    } catch (thrown) {
      // Deleted meanwhile.
      if (!isFailure(thrown, 'KubernetesNotFound') && !isFailure(thrown, 'KubernetesConflict')) throw thrown
    }
  }

  const attempt = async <T>(pod: PodObject, what: string, work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (thrown) {
      if (!stop.signal.aborted) failures.push(`${what} ${pod.metadata.name}: ${String(thrown)}`)
      throw thrown
    }
  }

  const pods = createStore<PodObject>({
    handlers: [
      (change) => {
        if (change.kind === 'Removed') return
        const pod = change.object
        const key = keyOf(pod)
        if (pod.metadata.deletionTimestamp === undefined) {
          if (!programs.has(key)) programs.set(key, attempt(pod, 'starting', begin(pod)))
          // Recorded in `failures`, and awaited again when the pod is deleted.
          programs.get(key)?.catch(() => undefined)
        } else if (!leaving.has(key)) {
          leaving.add(key)
          attempt(pod, 'ending', end(pod)).catch(() => undefined)
        }
      },
    ],
  })
  const following = createReflector({ transport, clock: systemClock, type: podType }, pods).run(stop.signal)
  scope.after(async () => {
    stop.abort()
    await following
    const running = await Promise.allSettled(programs.values())
    await Promise.all(running.map((each) => (each.status === 'fulfilled' ? each.value.stop() : undefined)))
  })
  return { pods, departed, failures }
}
