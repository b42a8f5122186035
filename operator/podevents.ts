/**
 * Events about pods whose status names no cause: a volume that is not mounted shows nowhere else. The operator lists them by the pod's
 * uid, of a few pods only, and at most every fifteen seconds for each. It watches no Events, and reads none while all pods are well.
 *
 * A namespace that refuses such a list is asked again after half a minute. Events read shortly before still count.
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { type KubernetesObject, resourcePath } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'
import { eventType } from './plan/kinds.ts'
import type { PodEvents, PodObject } from './plan/observed.ts'
import { isMute } from './status/pods/problem.ts'

interface PodEventReader {
  /** Events of the pods whose status names no cause, by uid. Rejects only when the signal aborts. */
  read(pods: readonly PodObject[], signal: AbortSignal): Promise<ReadonlyMap<string, PodEvents>>
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
  readonly events: PodEvents
}

/** A namespace whose Events cannot be read. */
interface Refusal {
  readonly error: StreamPipelineError
  readonly againMs: number
  readonly reportedMs: number
}

interface PodEventParts {
  readonly transport: Transport
  readonly clock: Pick<Clock, 'now' | 'wall'>
  /** Events in that namespace cannot be read. Called once for each code of error, and every ten minutes while it lasts. */
  readonly onUnread: (namespace: string, error: StreamPipelineError) => void
}

const mostPods = 2
const mostEvents = 100
const keepMs = 15_000
/** Events held for longer belong to pods that may be gone. */
const forgetMs = 120_000
const askAgainMs = 30_000
const reportEveryMs = 600_000

export function createPodEventReader({ transport, clock, onUnread }: PodEventParts): PodEventReader {
  const held = new Map<string, Held>()
  const refusals = new Map<string, Refusal>()

  function refuse(namespace: string, error: StreamPipelineError): void {
    const now = clock.now()
    const last = refusals.get(namespace)
    const isNews = last === undefined || last.error.code !== error.code || now - last.reportedMs >= reportEveryMs
    refusals.set(namespace, { error, againMs: now + askAgainMs, reportedMs: isNews ? now : last.reportedMs })
    if (isNews) onUnread(namespace, error)
  }

  async function list(pod: PodObject, signal: AbortSignal): Promise<PodEvents> {
    const { namespace = '', uid = '' } = pod.metadata
    const refusal = refusals.get(namespace)
    if (refusal !== undefined && clock.now() < refusal.againMs) return { kind: 'Unread', error: refusal.error }
    const path = resourcePath(eventType, namespace)
    const query = { fieldSelector: `involvedObject.uid=${uid}`, limit: mostEvents }
    try {
      const { items = [] } = (await transport.request({ method: 'GET', path, query, signal })) as { items?: EventObject[] }
      refusals.delete(namespace)
      const events = items.map(({ reason = '', message = '', ...event }) => ({ reason, message, atMs: timeOf(event) }))
      return { kind: 'Read', events }
    } catch (thrown) {
      if (signal.aborted) throw thrown
      const error = asFailure(thrown)
      refuse(namespace, error)
      return { kind: 'Unread', error }
    }
  }

  function forgetOld(now: number): void {
    for (const [uid, { atMs }] of held) if (now - atMs >= forgetMs) held.delete(uid)
    for (const [namespace, { againMs }] of refusals) if (now - againMs >= reportEveryMs) refusals.delete(namespace)
  }

  return {
    async read(pods, signal) {
      const now = clock.now()
      forgetOld(now)
      const wall = clock.wall().getTime()
      const mute = pods.filter((pod) => isMute(pod, wall)).slice(0, mostPods)
      const read = mute.map(async (pod) => {
        const uid = pod.metadata.uid ?? ''
        const last = held.get(uid)
        if (last !== undefined && now - last.atMs < keepMs) return [uid, last.events] as const
        const events = await list(pod, signal)
        // The last answer stands until it is too old.
        if (events.kind === 'Unread' && last !== undefined) return [uid, last.events] as const
        if (events.kind === 'Read') held.set(uid, { atMs: now, events })
        return [uid, events] as const
      })
      return new Map(await Promise.all(read))
    },
  }
}

function timeOf({ series, lastTimestamp, eventTime, firstTimestamp, metadata }: EventObject): number {
  const time = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? firstTimestamp ?? metadata.creationTimestamp ?? ''
  return Date.parse(time) || 0
}
