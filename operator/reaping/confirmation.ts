/**
 * Decides whether a suspected pod is certainly gone. The cache of pods may lag behind a new pod, so the API server is asked.
 *
 * Any client of Redis can invent names in a registry, so their cost is bounded for each namespace. Single reads come from a bucket that
 * gains one every two seconds. When it is empty, one list of the namespace's pods, at most every five seconds, answers for all suspects.
 * A suspect waits for a list that began after the suspicion; until then it is not gone.
 *
 * A pod that the cache holds under the same uid needs no request. Where pods cannot be watched, no pod is known to be gone.
 *
 * An API server that hangs must not hold up the look at Redis that asks. After a second the look goes on, and its suspect is not gone. The
 * request goes on, too: its answer serves a later look.
 */
import { failure } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { endsWithin } from '../../process/patience.ts'
import { isFailure } from '../kubernetes/errors.ts'
import { resourcePath } from '../kubernetes/objects.ts'
import type { Transport } from '../kubernetes/transport.ts'
import { podType } from '../plan/kinds.ts'
import type { PodObject } from '../plan/observed.ts'
import { type ConfirmGone, hasEnded } from './suspects.ts'

interface ConfirmationParts {
  readonly transport: Transport
  readonly clock: Clock
  /** The pod in the caches, by `namespace/name`. */
  readonly cached: (key: string) => PodObject | undefined
  /** Whether the pods of that namespace were ever listed. */
  readonly isKnown: (namespace: string) => boolean
  readonly signal: AbortSignal
}

/** The uids of a namespace's pods, by one list. */
interface Census {
  readonly begunMs: number
  readonly uids: Promise<ReadonlySet<string>>
}

interface Bucket {
  readonly tokens: number
  readonly atMs: number
}

/** A question under way. One for each uid is enough for all that ask: the pod was registered before the question began. */
interface Question {
  readonly askedMs: number
  readonly answer: Promise<boolean>
}

/** An answer takes milliseconds. */
const answerMs = 1_000
const rememberMs = 3_600_000
/** Most uids of gone pods that are remembered. */
const most = 50_000
const burst = 20
const refillMs = 2_000
const censusEveryMs = 5_000
/** The longest time from a suspicion to its answer is shorter. */
const keepCensusMs = 120_000
const pageSize = 500

/** The uids of the pods that live. */
async function livingUids(transport: Transport, namespace: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const uids = new Set<string>()
  let next: string | undefined
  do {
    const query = { limit: pageSize, continue: next }
    const page = (await transport.request({ method: 'GET', path: resourcePath(podType, namespace), query, signal })) as {
      readonly items?: readonly PodObject[]
      readonly metadata?: { readonly continue?: string }
    }
    for (const pod of page.items ?? []) if (!hasEnded(pod)) uids.add(pod.metadata.uid ?? '')
    next = page.metadata?.continue
  } while (next !== undefined && next !== '')
  return uids
}

export function createConfirmation({ transport, clock, cached, isKnown, signal }: ConfirmationParts): ConfirmGone {
  const gone = new Map<string, number>()
  const buckets = new Map<string, Bucket>()
  const censuses = new Map<string, Census>()
  const questions = new Map<string, Question>()

  function mayAsk(namespace: string): boolean {
    const now = clock.now()
    const { tokens, atMs } = buckets.get(namespace) ?? { tokens: burst, atMs: now }
    const filled = Math.min(burst, tokens + (now - atMs) / refillMs)
    buckets.delete(namespace)
    buckets.set(namespace, { tokens: filled >= 1 ? filled - 1 : filled, atMs: now })
    return filled >= 1
  }

  /** A bucket that is full again equals a new one, and a list of so long ago answers no suspicion. Both maps are in the order of time. */
  function prune(): void {
    const now = clock.now()
    for (const [namespace, { atMs }] of buckets) {
      if (now - atMs < burst * refillMs) break
      buckets.delete(namespace)
    }
    for (const [namespace, { begunMs }] of censuses) {
      if (now - begunMs < keepCensusMs) break
      censuses.delete(namespace)
    }
  }

  async function isGone(namespace: string, name: string, uid: string): Promise<boolean> {
    try {
      const path = resourcePath(podType, namespace, name)
      const pod = (await transport.request({ method: 'GET', path, signal })) as PodObject
      return pod.metadata.uid !== uid || hasEnded(pod)
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesNotFound')) return true
      throw thrown
    }
  }

  /** The uids by a list begun since then, or by a new list if one is due; undefined: not yet. */
  async function censusSince(namespace: string, sinceMs: number): Promise<ReadonlySet<string> | undefined> {
    const last = censuses.get(namespace)
    if (last !== undefined && last.begunMs >= sinceMs) return await last.uids
    if (last !== undefined && clock.now() - last.begunMs < censusEveryMs) return undefined
    const census = { begunMs: clock.now(), uids: livingUids(transport, namespace, signal) }
    censuses.delete(namespace)
    censuses.set(namespace, census)
    try {
      return await census.uids
    } catch (thrown) {
      if (censuses.get(namespace) === census) censuses.set(namespace, { ...census, begunMs: Number.NEGATIVE_INFINITY })
      throw thrown
    }
  }

  function remember(uid: string): true {
    const now = clock.now()
    gone.delete(uid)
    gone.set(uid, now)
    forgetOld(gone, now)
    return true
  }

  async function ask(namespace: string, name: string, uid: string, sinceMs: number): Promise<boolean> {
    if (mayAsk(namespace)) return (await isGone(namespace, name, uid)) ? remember(uid) : false
    const living = await censusSince(namespace, sinceMs)
    if (living === undefined || living.has(uid)) return false
    return remember(uid)
  }

  function questionOf(namespace: string, name: string, uid: string, sinceMs: number): Question {
    const held = questions.get(uid)
    if (held !== undefined) return held
    const answer = ask(namespace, name, uid, sinceMs).finally(() => questions.delete(uid))
    const question = { askedMs: clock.now(), answer }
    questions.set(uid, question)
    return question
  }

  return async (namespace, name, uid, sinceMs) => {
    prune()
    if (gone.has(uid)) return true
    const held = cached(`${namespace}/${name}`)
    if (held?.metadata.uid === uid) return hasEnded(held) ? remember(uid) : false
    if (!isKnown(namespace)) throw failure('KubernetesForbidden', { detail: `pods in ${namespace} cannot be watched` })
    const { askedMs, answer } = questionOf(namespace, name, uid, sinceMs)
    const leftMs = askedMs + answerMs - clock.now()
    if (leftMs > 0 && (await endsWithin(answer, leftMs, clock.after))) return await answer
    throw failure('KubernetesUnreachable', { detail: `no answer about pod ${name} yet` })
  }
}

/** Notes are in the order of their times. */
function forgetOld(notes: Map<string, number>, nowMs: number): void {
  for (const [uid, atMs] of notes) {
    if (nowMs - atMs <= rememberMs && notes.size <= most) break
    notes.delete(uid)
  }
}
