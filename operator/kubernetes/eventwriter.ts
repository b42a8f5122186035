/**
 * Writes Events. A repetition within ten minutes becomes a count on the Event that was written first. A later one begins a new series, and
 * so does one whose Event is gone.
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../process/clock.ts'
import { isFailure } from './errors.ts'
import { microTime } from './lease.ts'
import { type KubernetesObject, type ResourceType, resourcePath } from './objects.ts'
import type { Transport } from './transport.ts'

const eventType: ResourceType = { apiVersion: 'events.k8s.io/v1', kind: 'Event', plural: 'events' }
const seriesMs = 600_000

export interface EventNote {
  readonly type: 'Normal' | 'Warning'
  /** CamelCase, from the catalogue. */
  readonly reason: string
  /** Attempted or done, CamelCase. */
  readonly action: string
  readonly note: string
}

interface Series {
  readonly name: string
  readonly count: number
  readonly lastMs: number
}

interface EventWriterParts {
  readonly transport: Transport
  readonly clock: Pick<Clock, 'now' | 'wall'>
  readonly controller: string
  readonly instance: string
}

interface EventWriter {
  write(object: KubernetesObject, event: EventNote, signal: AbortSignal): Promise<void>
  /** Forgets series that have ended. */
  tidy(nowMs: number): void
  readonly size: number
}

export function createEventWriter({ transport, clock, controller, instance }: EventWriterParts): EventWriter {
  const series = new Map<string, Series>()

  /** False: the Event of the series is gone. Events live an hour. */
  async function repeat({ name, count }: Series, namespace: string, signal: AbortSignal): Promise<boolean> {
    const path = resourcePath(eventType, namespace, name)
    const body = { series: { count, lastObservedTime: microTime(clock.wall()) } }
    try {
      await transport.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body, signal })
      return true
    } catch (thrown) {
      if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
      return false
    }
  }

  return {
    async write(object, event, signal) {
      const { namespace = 'default', name = '', uid = '', resourceVersion } = object.metadata
      const id = JSON.stringify([uid, event.type, event.reason, event.note])
      const known = series.get(id)
      const now = clock.now()
      const eventTime = microTime(clock.wall())
      if (known !== undefined && now - known.lastMs < seriesMs) {
        const again = { ...known, count: known.count + 1, lastMs: now }
        series.set(id, again)
        if (await repeat(again, namespace, signal)) return
      }
      const eventName = `${name}.${randomBytes(8).toString('hex')}`
      series.set(id, { name: eventName, count: 1, lastMs: now })
      await transport.request({
        method: 'POST',
        path: resourcePath(eventType, namespace),
        signal,
        body: {
          apiVersion: eventType.apiVersion,
          kind: eventType.kind,
          metadata: { name: eventName, namespace },
          eventTime,
          reportingController: controller,
          reportingInstance: instance.slice(0, 128),
          ...event,
          regarding: { apiVersion: object.apiVersion, kind: object.kind, namespace, name, uid, resourceVersion },
        },
      })
    },
    tidy(nowMs) {
      for (const [id, { lastMs }] of series) if (nowMs - lastMs >= seriesMs) series.delete(id)
    },
    get size() {
      return series.size
    },
  }
}
