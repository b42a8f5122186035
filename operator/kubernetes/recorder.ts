/**
 * Kubernetes Events (events.k8s.io/v1): `kubectl describe` lists them under an object. Callers record transitions only. Repetitions become
 * a count (eventwriter.ts), and a flapping object is cut off (eventbudget.ts).
 *
 * An Event that cannot be written is reported and given up: it must not hold up the work it is about. For the same reason it waits
 * while there is work, for some seconds at most. After a failover a thousand Events would compete with a thousand statuses.
 */
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import { mostMessage, printable } from '../../api/printable.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { createEventBudget } from './eventbudget.ts'
import { createEventWriter, type EventNote } from './eventwriter.ts'
import { type KubernetesObject, keyOf } from './objects.ts'
import type { Transport } from './transport.ts'

/** The API's limit on `note`. */
const noteBytes = 1024
const longestWaitMs = 10_000
const waitMs = 100

export interface EventRecorder {
  record(object: KubernetesObject, event: EventNote): void
  /**
   * Resolves when everything recorded was written, or when `signal` aborts: the rest is then given up. Returns the number of Events
   * given up. Events recorded afterwards are not written. Idempotent: later calls only wait with the first.
   */
  close(signal: AbortSignal): Promise<number>
}

interface RecorderOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly controller: string
  readonly instance: string
  /** Whether there is more urgent work. Default: never. */
  readonly busy?: () => boolean
  readonly onFailure?: (error: StreamPipelineError) => void
}

export function createRecorder(options: RecorderOptions): EventRecorder {
  const { clock, busy = () => false, onFailure = () => {} } = options
  const budget = createEventBudget()
  const writer = createEventWriter(options)
  /**
   * The last write of each namespace. Within a namespace Events are written in order, so that a repetition finds its first Event. No
   * namespace waits for another.
   */
  const tails = new Map<string, Promise<void>>()
  /** Neither written nor reported as a failure. */
  let unwritten = 0
  let closing: Promise<number> | undefined
  const givenUp = new AbortController()

  function tidy(): void {
    writer.tidy(clock.now())
    budget.tidy(clock.now())
  }

  async function yielding(sinceMs: number): Promise<void> {
    const { signal } = givenUp
    while (busy() && clock.now() - sinceMs < longestWaitMs && !signal.aborted) await pause(waitMs, signal, clock.after)
  }

  async function attempt(object: KubernetesObject, event: EventNote, sinceMs: number): Promise<void> {
    await yielding(sinceMs)
    if (givenUp.signal.aborted) return
    try {
      await writer.write(object, event, givenUp.signal)
    } catch (thrown) {
      // `close` returns how many were given up.
      if (givenUp.signal.aborted) return
      onFailure(asFailure(thrown))
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
      if (closing !== undefined || !budget.spend(keyOf(object), clock.now())) return
      if (writer.size > 1000) tidy()
      const limited = { ...event, note: clip(event.note) }
      const sinceMs = clock.now()
      unwritten += 1
      const { namespace = '' } = object.metadata
      const tail: Promise<void> = (tails.get(namespace) ?? Promise.resolve())
        .then(() => attempt(object, limited, sinceMs))
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
