/**
 * Reads Secrets and ConfigMaps by name. They are not watched: a watch needs the right to list every Secret of the namespace.
 * So contents are up to `maxAgeMs` old, at the caller's choice, and many pipelines that share a Secret cost one read.
 *
 * Only the API server's "not found" says that an object is not there. Any other failure (forbidden, busy, away) says nothing, so what
 * was last read holds for another ten minutes, with a doubt; reads are tried again after two seconds, then less often, up to
 * every thirty.
 */
import type { Reference } from '../../api/compiled.ts'
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import { backoffMs } from '../../process/backoff.ts'
import type { Clock } from '../kubernetes/clock.ts'
import { isFailure, retryAfterMs } from '../kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from '../kubernetes/objects.ts'
import type { Transport } from '../kubernetes/transport.ts'
import { configMapType, secretType } from '../plan/kinds.ts'

interface Holder extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>
  readonly binaryData?: Readonly<Record<string, string>>
}

/** `undefined`: there is no such object. */
interface Answer {
  readonly holder: Holder | undefined
  readonly atMs: number
}

interface Doubt {
  readonly error: StreamPipelineError
  readonly sinceMs: number
  readonly attempts: number
  readonly againMs: number
}

interface Reading {
  usedMs: number
  askedMs: number
  underway: Promise<void> | undefined
  answer: Answer | undefined
  doubt: Doubt | undefined
}

export interface ReferenceReader {
  /** Throws ReferenceMissing, or what the API server failed with where nothing is known from before. */
  read(namespace: string, reference: Reference, maxAgeMs: number): Promise<string>
  /** Why it could not be read again, and for how long that has been so. */
  doubt(namespace: string, reference: Reference): { readonly error: StreamPipelineError; readonly forMs: number } | undefined
}

const keepMs = 600_000
const again = { baseMs: 2_000, maxMs: 30_000 }
const never = new AbortController().signal

/** @param signal ends reads under way */
export function createReferenceReader(transport: Transport, clock: Clock, signal: AbortSignal = never): ReferenceReader {
  const readings = new Map<string, Reading>()
  const idOf = (namespace: string, { kind, name }: Reference) => `${kind}/${namespace}/${name}`

  async function get(namespace: string, { kind, name }: Reference): Promise<Holder | undefined> {
    try {
      const path = resourcePath(kind === 'Secret' ? secretType : configMapType, namespace, name)
      return (await transport.request({ method: 'GET', path, signal })) as Holder
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesNotFound')) return undefined
      throw thrown
    }
  }

  function readingOf(namespace: string, reference: Reference): Reading {
    const now = clock.now()
    const id = idOf(namespace, reference)
    const held = readings.get(id)
    if (held !== undefined) {
      held.usedMs = now
      return held
    }
    for (const [other, { usedMs }] of readings) if (now - usedMs > keepMs) readings.delete(other)
    const fresh = { usedMs: now, askedMs: Number.NEGATIVE_INFINITY, underway: undefined, answer: undefined, doubt: undefined }
    readings.set(id, fresh)
    return fresh
  }

  async function ask(reading: Reading, namespace: string, reference: Reference): Promise<void> {
    const atMs = clock.now()
    reading.askedMs = atMs
    try {
      const holder = await get(namespace, reference)
      // Of two reads at once the later question counts.
      if (reading.answer === undefined || reading.answer.atMs <= atMs) reading.answer = { holder, atMs }
      reading.doubt = undefined
    } catch (thrown) {
      const error = asFailure(thrown)
      const attempts = (reading.doubt?.attempts ?? 0) + 1
      const waitMs = Math.max(backoffMs(attempts, again, clock.random()), retryAfterMs(error) ?? 0)
      const sinceMs = reading.doubt?.sinceMs ?? atMs
      reading.doubt = { error, sinceMs, attempts, againMs: clock.now() + Math.min(again.maxMs, waitMs) }
    } finally {
      reading.underway = undefined
    }
  }

  async function holderOf(namespace: string, reference: Reference, maxAgeMs: number): Promise<Holder | undefined> {
    const reading = readingOf(namespace, reference)
    const now = clock.now()
    const isFresh = reading.answer !== undefined && now - reading.answer.atMs < maxAgeMs
    const isPausing = reading.doubt !== undefined && now < reading.doubt.againMs
    // One that is under way is young enough, unless the caller wants younger.
    if (reading.underway !== undefined && now - reading.askedMs < Math.max(1, maxAgeMs)) await reading.underway
    else if (!isFresh && !isPausing) {
      reading.underway = ask(reading, namespace, reference)
      await reading.underway
    }
    const { answer, doubt } = reading
    if (doubt === undefined) return answer?.holder
    if (answer === undefined || clock.now() - answer.atMs > keepMs) throw doubt.error
    return answer.holder
  }

  return {
    async read(namespace, reference, maxAgeMs) {
      const { kind, name, key, field } = reference
      const holder = await holderOf(namespace, reference, maxAgeMs)
      if (holder === undefined)
        throw failure('ReferenceMissing', { kind, name, key, field, detail: `there is no such ${kind} in ${namespace}` })
      const text = kind === 'ConfigMap' ? holder.data?.[key] : undefined
      if (text !== undefined) return text
      const encoded = kind === 'Secret' ? holder.data?.[key] : holder.binaryData?.[key]
      if (encoded === undefined)
        throw failure('ReferenceMissing', { kind, name, key, field, detail: `the ${kind} has no such key` })
      return Buffer.from(encoded, 'base64').toString('utf8')
    },
    doubt(namespace, reference) {
      const doubt = readings.get(idOf(namespace, reference))?.doubt
      return doubt && { error: doubt.error, forMs: clock.now() - doubt.sinceMs }
    },
  }
}
