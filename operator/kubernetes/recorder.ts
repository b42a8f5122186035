/**
 * Kubernetes Events (events.k8s.io/v1): what `kubectl describe` lists under an object. Callers record transitions only; here
 * repetitions within ten minutes become a count on the same Event, and an object that keeps flapping is cut off (a burst of 25,
 * then one in five minutes, client-go's figures), so that a fault never floods etcd. An Event that cannot be written is
 * reported and given up: it must not hold up the work it tells about. For the same reason it waits, for some seconds at most, while
 * there is work: after a failover a thousand Events would compete with a thousand statuses.
 */
import { randomBytes } from 'node:crypto'
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import { mostMessage, printable } from '../../api/printable.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { microTime } from './elector.ts'
import { isFailure } from './errors.ts'
import { type KubernetesObject, keyOf, type ResourceType, resourcePath } from './objects.ts'
import type { Transport } from './transport.ts'

const eventType: ResourceType = { apiVersion: 'events.k8s.io/v1', kind: 'Event', plural: 'events' }
/** The API's limit on `note`. */
const noteBytes = 1024
const seriesMs = 600_000
const burst = 25
const refillMs = 300_000
const longestWaitMs = 10_000
const waitMs = 100

export interface EventNote {
  readonly type: 'Normal' | 'Warning'
  /** CamelCase, from the catalogue. */
  readonly reason: string
  /** What was done or attempted, CamelCase. */
  readonly action: string
  readonly note: string
}

export interface EventRecorder {
  record(object: KubernetesObject, event: EventNote): void
  /**
   * Resolves when everything recorded was written, or with `signal`, and then gives up what is left; to how many Events were
   * given up so. What is recorded afterwards is not written. Idempotent: later calls only wait with the first.
   */
  close(signal: AbortSignal): Promise<number>
}

interface Series {
  readonly name: string
  readonly count: number
  readonly lastMs: number
}

interface Allowance {
  readonly tokens: number
  readonly atMs: number
}

interface RecorderOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly controller: string
  readonly instance: string
  /** Whether there is more urgent work. Default: never. */
  readonly busy?: () => boolean
  readonly onFault?: (error: StreamPipelineError) => void
}

export function createRecorder(options: RecorderOptions): EventRecorder {
  const { transport, clock, busy = () => false, onFault = () => {} } = options
  const series = new Map<string, Series>()
  const allowances = new Map<string, Allowance>()
  /**
   * The last write of each namespace. Within a namespace Events are written in order, so that a repetition finds its first Event. No
   * namespace waits for another.
   */
  const tails = new Map<string, Promise<void>>()
  /** Neither written nor reported as a fault. */
  let unwritten = 0
  let closing: Promise<number> | undefined
  const givenUp = new AbortController()

  function allowed(subject: string): boolean {
    const now = clock.now()
    const { tokens, atMs } = allowances.get(subject) ?? { tokens: burst, atMs: now }
    const filled = Math.min(burst, tokens + (now - atMs) / refillMs)
    allowances.set(subject, { tokens: filled >= 1 ? filled - 1 : filled, atMs: now })
    return filled >= 1
  }

  async function yielding(sinceMs: number): Promise<void> {
    const { signal } = givenUp
    while (busy() && clock.now() - sinceMs < longestWaitMs && !signal.aborted) await pause(waitMs, signal, clock.after)
  }

  async function write(object: KubernetesObject, event: EventNote): Promise<void> {
    const { namespace = 'default', name = '', uid = '', resourceVersion } = object.metadata
    const { signal } = givenUp
    const id = JSON.stringify([uid, event.type, event.reason, event.note])
    const known = series.get(id)
    const now = clock.now()
    const at = microTime(clock.wall())
    if (known !== undefined && now - known.lastMs < seriesMs) {
      const count = known.count + 1
      series.set(id, { ...known, count, lastMs: now })
      const path = resourcePath(eventType, namespace, known.name)
      const body = { series: { count, lastObservedTime: at } }
      try {
        await transport.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body, signal })
        return
      } catch (thrown) {
        // Events live an hour: the first one may be gone, then this one starts a new series.
        if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
      }
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
        eventTime: at,
        reportingController: options.controller,
        reportingInstance: options.instance.slice(0, 128),
        action: event.action,
        reason: event.reason,
        type: event.type,
        note: event.note,
        regarding: { apiVersion: object.apiVersion, kind: object.kind, namespace, name, uid, resourceVersion },
      },
    })
  }

  function forgetOld(): void {
    const now = clock.now()
    for (const [id, known] of series) if (now - known.lastMs >= seriesMs) series.delete(id)
    for (const [subject, { atMs }] of allowances) if (now - atMs >= burst * refillMs) allowances.delete(subject)
  }

  async function told(object: KubernetesObject, event: EventNote, sinceMs: number): Promise<void> {
    await yielding(sinceMs)
    if (givenUp.signal.aborted) return
    try {
      await write(object, event)
    } catch (thrown) {
      // Whoever closes is told how many were given up.
      if (givenUp.signal.aborted) return
      onFault(asFailure(thrown))
    }
    unwritten -= 1
  }

  async function closed(signal: AbortSignal): Promise<number> {
    const giveUp = () => givenUp.abort()
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    await Promise.all(tails.values())
    signal.removeEventListener('abort', giveUp)
    return unwritten
  }

  return {
    record(object, event) {
      if (closing !== undefined || !allowed(keyOf(object))) return
      if (series.size > 1000) forgetOld()
      const limited = { ...event, note: clip(event.note) }
      const sinceMs = clock.now()
      unwritten += 1
      const { namespace = '' } = object.metadata
      const tail: Promise<void> = (tails.get(namespace) ?? Promise.resolve())
        .then(() => told(object, limited, sinceMs))
        .then(() => {
          if (tails.get(namespace) === tail) tails.delete(namespace)
        })
      tails.set(namespace, tail)
    },
    close(signal) {
      closing ??= closed(signal)
      return closing
    },
  }
}

/** One printable line of at most 1,024 bytes of UTF-8, cut at a character. */
export function clip(note: string): string {
  const text = printable(note, mostMessage)
  if (Buffer.byteLength(text) <= noteBytes) return text
  const cut = Buffer.from(text).subarray(0, noteBytes - 3)
  return `${cut.toString('utf8').replace(/\uFFFD$/, '')}…`
}
