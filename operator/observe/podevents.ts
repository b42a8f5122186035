/**
 * Events about pods whose status names no cause: a volume that is not mounted shows nowhere else. The operator lists them by the pod's
 * uid, of a few pods only, and at most every fifteen seconds for each. It watches no Events, and reads none while all pods are well.
 */
import type { Clock } from '../kubernetes/clock.ts'
import { type KubernetesObject, resourcePath } from '../kubernetes/objects.ts'
import type { Transport } from '../kubernetes/transport.ts'
import { eventType } from '../plan/kinds.ts'
import type { PodEvent, PodObject } from '../plan/observed.ts'
import { isMute } from '../status/pods/trouble.ts'

export interface PodEventReader {
  /** Events of the pods whose status names no cause, by uid. Rejects only when the signal aborts. */
  read(pods: readonly PodObject[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly PodEvent[]>>
}

interface EventObject extends KubernetesObject {
  readonly reason?: string
  readonly message?: string
  readonly firstTimestamp?: string | null
  readonly lastTimestamp?: string | null
  readonly eventTime?: string | null
  readonly series?: { readonly lastObservedTime?: string }
}

interface Held {
  readonly atMs: number
  readonly events: readonly PodEvent[]
}

const mostPods = 2
const mostEvents = 100
const keepMs = 15_000
/** Events held for longer belong to pods that may be gone. */
const forgetMs = 120_000

export function createPodEventReader(transport: Transport, clock: Pick<Clock, 'now' | 'wall'>): PodEventReader {
  const held = new Map<string, Held>()

  async function list(pod: PodObject, signal: AbortSignal): Promise<readonly PodEvent[]> {
    const path = resourcePath(eventType, pod.metadata.namespace)
    const query = { fieldSelector: `involvedObject.uid=${pod.metadata.uid ?? ''}`, limit: mostEvents }
    try {
      const { items = [] } = (await transport.request({ method: 'GET', path, query, signal })) as { items?: EventObject[] }
      return items.map(({ reason = '', message = '', ...event }) => ({ reason, message, atMs: timeOf(event) }))
    } catch (thrown) {
      if (signal.aborted) throw thrown
      // A missing right leaves the pod's status as the only source.
      return []
    }
  }

  return {
    async read(pods, signal) {
      const now = clock.now()
      for (const [uid, { atMs }] of held) if (now - atMs >= forgetMs) held.delete(uid)
      const wall = clock.wall().getTime()
      const mute = pods.filter((pod) => isMute(pod, wall)).slice(0, mostPods)
      const read = mute.map(async (pod) => {
        const uid = pod.metadata.uid ?? ''
        const last = held.get(uid)
        if (last !== undefined && now - last.atMs < keepMs) return [uid, last.events] as const
        const events = await list(pod, signal)
        held.set(uid, { atMs: now, events })
        return [uid, events] as const
      })
      return new Map(await Promise.all(read))
    },
  }
}

function timeOf({ series, lastTimestamp, eventTime, firstTimestamp, metadata }: EventObject): number {
  const told = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? firstTimestamp ?? metadata.creationTimestamp ?? ''
  return Date.parse(told) || 0
}
