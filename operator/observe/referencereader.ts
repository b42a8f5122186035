/**
 * Reads Secrets and ConfigMaps by name. It does not watch them: a watch needs the right to list every Secret of the namespace. So
 * contents are up to `maxAgeMs` old, at the caller's choice, and many pipelines that share a Secret cost one read.
 *
 * Only the API server's "not found" proves that an object does not exist. After any other failure (forbidden, busy, away) the last
 * answer holds for another ten minutes, with a doubt. Reads are tried again after two seconds, then less often, at least every
 * thirty seconds. An API server that hangs must not hold up the looks at Redis. A read without an answer for seconds counts as
 * failed, and goes on.
 *
 * A key or object that an old answer lacks may exist by now. So the reader reports the failure, not a missing object.
 */
import type { Reference } from '../../api/compiled.ts'
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import { isDataKey, isObjectName } from '../../api/names.ts'
import { backoffMs } from '../../process/backoff.ts'
import type { Clock } from '../../process/clock.ts'
import { endsWithin } from '../../process/patience.ts'
import { isFailure, retryAfterMs } from '../kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from '../kubernetes/objects.ts'
import type { Transport } from '../kubernetes/transport.ts'
import { type Limits, noLimits } from '../limits.ts'
import { configMapType, secretType } from '../plan/kinds.ts'
import { type PodSecret, secretRefusal } from '../policy/secrets.ts'

interface Holder extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>
  readonly binaryData?: Readonly<Record<string, string>>
}

/** An answer of the API server; `holder` undefined: no such object exists. */
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
  /** The youngest read under way. */
  underway: Promise<void> | undefined
  /** Reads under way. */
  reads: number
  answer: Answer | undefined
  doubt: Doubt | undefined
}

export interface ReferenceReader {
  /** Throws ReferenceMissing, or the API server's failure if no earlier answer is known. */
  read(namespace: string, reference: Reference, maxAgeMs: number): Promise<string>
  /** The reason why a pod may not get that Secret. Undefined: it may, or the Secret does not exist. Throws the API server's failure. */
  refusal(namespace: string, secret: PodSecret, maxAgeMs: number): Promise<StreamPipelineError | undefined>
  /** The failure of the last read, and the time since the first of these failures. */
  doubt(namespace: string, reference: Reference): { readonly error: StreamPipelineError; readonly forMs: number } | undefined
}

const keepMs = 600_000
/** Longest wait for an answer where an earlier one holds, and where none does. */
const answerMs = 1_000
const firstAnswerMs = 5_000
/** Most reads of one object under way: the second one is of a caller that wants a younger answer than the first may bring. */
const mostReads = 2
const again = { baseMs: 2_000, maxMs: 30_000 }
const never = new AbortController().signal

const unread = (usedMs: number): Reading => ({
  usedMs,
  askedMs: Number.NEGATIVE_INFINITY,
  underway: undefined,
  reads: 0,
  answer: undefined,
  doubt: undefined,
})

const holds = ({ answer }: Reading, nowMs: number) => answer !== undefined && nowMs - answer.atMs <= keepMs

const unanswered = () => failure('KubernetesUnreachable', { detail: 'no answer yet' })

const idOf = (namespace: string, { kind, name }: Reference): string => `${kind}/${namespace}/${name}`

/** Undefined: the object does not exist. */
async function get(
  transport: Transport,
  namespace: string,
  { kind, name }: Reference,
  signal: AbortSignal,
): Promise<Holder | undefined> {
  try {
    const path = resourcePath(kind === 'Secret' ? secretType : configMapType, namespace, name)
    return (await transport.request({ method: 'GET', path, signal })) as Holder
  } catch (thrown) {
    if (isFailure(thrown, 'KubernetesNotFound')) return undefined
    throw thrown
  }
}

/**
 * @param limits on the Secrets that may be read for a namespace
 * @param signal ends reads under way
 */
export function createReferenceReader(
  transport: Transport,
  clock: Clock,
  limits: Limits = noLimits,
  signal: AbortSignal = never,
): ReferenceReader {
  const readings = new Map<string, Reading>()

  function readingOf(namespace: string, reference: Reference): Reading {
    const now = clock.now()
    const id = idOf(namespace, reference)
    const held = readings.get(id)
    if (held !== undefined) {
      held.usedMs = now
      return held
    }
    for (const [other, { usedMs }] of readings) if (now - usedMs > keepMs) readings.delete(other)
    const fresh = unread(now)
    readings.set(id, fresh)
    return fresh
  }

  async function ask(reading: Reading, namespace: string, reference: Reference): Promise<void> {
    const atMs = clock.now()
    reading.askedMs = atMs
    try {
      const holder = await get(transport, namespace, reference, signal)
      // Of two reads under way, the one that began later counts.
      if (reading.answer === undefined || reading.answer.atMs <= atMs) reading.answer = { holder, atMs }
      reading.doubt = undefined
    } catch (thrown) {
      const error = asFailure(thrown)
      const attempts = (reading.doubt?.attempts ?? 0) + 1
      const waitMs = Math.max(backoffMs(attempts, again, clock.random()), retryAfterMs(error) ?? 0)
      const sinceMs = reading.doubt?.sinceMs ?? atMs
      reading.doubt = { error, sinceMs, attempts, againMs: clock.now() + Math.min(again.maxMs, waitMs) }
    }
  }

  async function answered(reading: Reading, asking: Promise<void>): Promise<void> {
    const patienceMs = holds(reading, clock.now()) ? answerMs : firstAnswerMs
    const leftMs = reading.askedMs + patienceMs - clock.now()
    if (leftMs > 0) await endsWithin(asking, leftMs, clock.after)
  }

  /** The failure of the last read, or the silence about the one under way. */
  function doubtOf({ doubt, underway, askedMs }: Reading): Pick<Doubt, 'error' | 'sinceMs'> | undefined {
    if (doubt !== undefined || underway === undefined || clock.now() - askedMs < answerMs) return doubt
    return { error: unanswered(), sinceMs: askedMs }
  }

  async function holderOf(namespace: string, reference: Reference, maxAgeMs: number): Promise<Holder | undefined> {
    const reading = readingOf(namespace, reference)
    const now = clock.now()
    const isFresh = reading.answer !== undefined && now - reading.answer.atMs < maxAgeMs
    // A read under way is young enough, unless the caller wants a younger answer. Otherwise such reads would pile up at an API
    // server that hangs.
    const isEnough = now - reading.askedMs < Math.max(1, maxAgeMs) || reading.reads >= mostReads
    if (reading.underway !== undefined && isEnough) await answered(reading, reading.underway)
    else if (!isFresh && now >= (reading.doubt?.againMs ?? now)) {
      reading.reads += 1
      const asking = ask(reading, namespace, reference).finally(() => {
        reading.reads -= 1
        // A younger read may be under way by now.
        if (reading.underway === asking) reading.underway = undefined
      })
      reading.underway = asking
      await answered(reading, asking)
    }
    if (!holds(reading, clock.now())) {
      const doubt = doubtOf(reading)
      if (doubt !== undefined) throw doubt.error
      // Another caller has begun a younger read meanwhile. That no answer came does not mean that there is no object.
      if (reading.underway !== undefined) throw unanswered()
    }
    return reading.answer?.holder
  }

  return {
    async refusal(namespace, { name, field }, maxAgeMs) {
      if (!isObjectName(name)) return undefined
      const reference: Reference = { kind: 'Secret', name, key: '*', field }
      const holder = await holderOf(namespace, reference, maxAgeMs)
      return holder && secretRefusal(namespace, reference, holder, limits)
    },
    async read(namespace, reference, maxAgeMs) {
      const { kind, name, key, field } = reference
      // An invalid name would lead the request to another path.
      if (!isObjectName(name) || !isDataKey(key))
        throw failure('ReferenceMissing', { kind, name, key, field, detail: 'no object can have that name or key' })
      const holder = await holderOf(namespace, reference, maxAgeMs)
      try {
        return textOf(namespace, reference, holder, limits)
      } catch (thrown) {
        throw doubtOf(readingOf(namespace, reference))?.error ?? thrown
      }
    },
    doubt(namespace, reference) {
      const reading = readings.get(idOf(namespace, reference))
      const doubt = reading && doubtOf(reading)
      return doubt && { error: doubt.error, forMs: clock.now() - doubt.sinceMs }
    },
  }
}

/** Throws ReferenceMissing, or ReferenceRefused for a Secret that pipelines may not use. */
function textOf(namespace: string, reference: Reference, holder: Holder | undefined, limits: Limits): string {
  const { kind, name, key, field } = reference
  if (holder === undefined)
    throw failure('ReferenceMissing', { kind, name, key, field, detail: `there is no such ${kind} in ${namespace}` })
  const refusal = kind === 'Secret' ? secretRefusal(namespace, reference, holder, limits) : undefined
  if (refusal !== undefined) throw refusal
  const text = kind === 'ConfigMap' ? textAt(holder.data, key) : undefined
  if (text !== undefined) return text
  const encoded = textAt(kind === 'Secret' ? holder.data : holder.binaryData, key)
  if (encoded === undefined) throw failure('ReferenceMissing', { kind, name, key, field, detail: `the ${kind} has no such key` })
  return Buffer.from(encoded, 'base64').toString('utf8')
}

/** `constructor` and `__proto__` may be keys, and every object inherits them. */
function textAt(data: Holder['data'], key: string): string | undefined {
  return data !== undefined && Object.hasOwn(data, key) ? data[key] : undefined
}
