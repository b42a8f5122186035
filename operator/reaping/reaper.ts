/**
 * The remains of vanished pods of one pipeline: at each look their entries are made claimable, and their names go with the last of
 * them. It is level-triggered: a consumer that is registered and gone is reaped. A missed deletion, a zombie that registers again,
 * and a failure halfway need no care of their own. A released consumer may still hold entries that no other has claimed. It is not
 * processed again until something about it changes.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import type { RedisConnection } from '../../redis/connect/connection.ts'
import { streamPlace } from '../../redis/placement.ts'
import { type Reaping, reapConsumer } from '../../redis/stream/reaping.ts'
import type { ConsumerSample, Sample } from '../../scaling/sample.ts'
import type { Release, VanishedConsumer } from '../plan/vanished.ts'
import { type ConfirmGone, type Suspect, suspects } from './suspects.ts'

interface ReaperParts {
  readonly clock: Clock
  readonly confirmGone: ConfirmGone
  /** Called for work done, not for a name that was found released. */
  readonly onReaped: (consumer: string, reaping: Reaping) => void
  readonly onFailure: (error: StreamPipelineError) => void
}

interface Reaped {
  /** The sample, less the names that are gone and the last heartbeats of the dead, whose entries have no holder. */
  readonly sample: Sample
  /** Those whose names are not gone yet. */
  readonly vanished: readonly VanishedConsumer[]
}

export interface Reaper {
  /** Never rejects: what fails is tried again at the next look. */
  reap(connection: RedisConnection, pipeline: CompiledPipeline, livingPods: ReadonlySet<string>, sample: Sample): Promise<Reaped>
}

/** Each may cost a request; the rest has its turn at the next look. */
const mostPerLook = 200
/** A look that takes long is old when it ends. No suspect is begun with after this time. */
const longestMs = 1_000

/** The outcome for a suspect. */
type Verdict =
  | { readonly kind: 'Lives' }
  | { readonly kind: 'Gone' }
  | { readonly kind: 'Vanished'; readonly as: VanishedConsumer }

/** Those that the last look did not reach come first. */
function turnOf(all: readonly Suspect[], first: string | undefined): readonly Suspect[] {
  const found = all.findIndex(({ uid }) => uid === first)
  const begin = Math.max(0, found)
  return [...all.slice(begin), ...all.slice(0, begin)]
}

export function createReaper({ clock, confirmGone, onReaped, onFailure }: ReaperParts): Reaper {
  let living: ReadonlySet<string> = new Set()
  /** Wall-clock time of pods that went while we looked, by uid. */
  const deleted = new Map<string, number>()
  /** By registered uid. */
  let last = new Map<string, VanishedConsumer>()
  /** Time of the first suspicion by uid of the pod, for all current suspects. */
  let firstSuspected = new Map<string, number>()
  /** The suspect with which the next look begins, if this one did not get to it. */
  let next: string | undefined

  function noteDeletions(now: ReadonlySet<string>): void {
    for (const uid of living) if (!now.has(uid)) deleted.set(uid, clock.wall().getTime())
    living = now
  }

  async function judge(connection: RedisConnection, pipeline: CompiledPipeline, suspect: Suspect): Promise<Verdict> {
    const { consumer, uid, podUid } = suspect
    const sinceMs = firstSuspected.get(podUid) ?? clock.now()
    if (!(await confirmGone(pipeline.namespace, consumer.name, podUid, sinceMs))) return { kind: 'Lives' }
    const before = last.get(uid)
    if (before !== undefined && isAsLeft(before, consumer)) {
      return { kind: 'Vanished', as: { ...before, pending: consumer.pending } }
    }
    const deletedMs = deleted.get(podUid)
    const vanished = (release: Release, pending: number, oldestId?: string): Verdict => {
      const known = { ...(deletedMs !== undefined && { deletedMs }), ...(oldestId !== undefined && { oldestId }) }
      return { kind: 'Vanished', as: { name: consumer.name, uid, pending, release, ...known } }
    }
    try {
      const reaping = await reapConsumer(connection, streamPlace(pipeline), {
        name: consumer.name,
        uid,
        minIdleMs: pipeline.reclaim.minIdleMs,
        requireExpiredHeartbeat: consumer.heartbeat?.path !== 'Atomic',
      })
      if (isNews(reaping)) onReaped(consumer.name, reaping)
      switch (reaping.kind) {
        case 'Released': {
          const { pending, oldestId, refusal } = reaping
          return vanished({ kind: 'Released', ...(refusal && { refusal }) }, pending, oldestId)
        }
        case 'Alive':
          return vanished({ kind: 'Awaited' }, consumer.pending)
        case 'Gone':
          deleted.delete(podUid)
          return { kind: 'Gone' }
        case 'Changed':
        case 'Foreign':
          return { kind: 'Lives' }
        default:
          throw reaping satisfies never
      }
    } catch (thrown) {
      const error = asFailure(thrown)
      onFailure(error)
      return vanished({ kind: 'Failed', error }, consumer.pending)
    }
  }

  return {
    async reap(connection, pipeline, livingPods, sample) {
      noteDeletions(livingPods)
      const verdicts = new Map<string, Verdict>()
      const suspected = suspects(sample, pipeline.uid, livingPods)
      const now = clock.now()
      firstSuspected = new Map(suspected.map(({ podUid }) => [podUid, firstSuspected.get(podUid) ?? now]))
      let isAnswered = true
      const turn = turnOf(suspected, next)
      next = undefined
      for (const [n, suspect] of turn.entries()) {
        if (n >= mostPerLook || clock.now() - now >= longestMs) {
          next = suspect.uid
          break
        }
        if (!isAnswered && !last.has(suspect.uid)) continue
        try {
          const verdict = await judge(connection, pipeline, suspect)
          verdicts.set(suspect.consumer.name, verdict)
          // Redis refuses, or is slow: that will not be better for the others.
          if (verdict.kind === 'Vanished' && verdict.as.release.kind === 'Failed') break
        } catch (thrown) {
          // The API server could not be asked: only those that an earlier look found gone are known to be.
          onFailure(asFailure(thrown))
          isAnswered = false
        }
      }
      const vanished = [...verdicts.values()].flatMap((verdict) => (verdict.kind === 'Vanished' ? [verdict.as] : []))
      last = new Map(vanished.map((each) => [each.uid, each]))
      const consumers = sample.consumers.flatMap((each) => remaining(each, verdicts))
      return { sample: { ...sample, orphaned: orphanedWith(sample, vanished), consumers }, vanished }
    },
  }
}

/** Released, nothing more was given to it, and it gives no sign of life. */
function isAsLeft({ release, pending }: VanishedConsumer, consumer: ConsumerSample): boolean {
  if (release.kind !== 'Released' || release.refusal !== undefined || consumer.heartbeat !== undefined) return false
  return consumer.pending > 0 && consumer.pending <= pending
}

function isNews(reaping: Reaping): boolean {
  return reaping.kind === 'Gone' || (reaping.kind === 'Released' && reaping.entries + reaping.trimmed > 0)
}

/** XCLAIM marks the name as just seen, so for a while a look counts entries of dead consumers as held by living ones. */
function orphanedWith(sample: Sample, vanished: readonly VanishedConsumer[]): number {
  const left = vanished.reduce((sum, { release, pending }) => sum + (release.kind === 'Awaited' ? 0 : pending), 0)
  return Math.max(sample.orphaned, Math.min(left, sample.pending) - sample.quarantined)
}

function remaining(consumer: ConsumerSample, verdicts: ReadonlyMap<string, Verdict>): ConsumerSample[] {
  const verdict = verdicts.get(consumer.name)
  if (verdict === undefined || verdict.kind === 'Lives') return [consumer]
  if (verdict.kind === 'Gone') return []
  const { heartbeat: _, ...silent } = consumer
  return [silent]
}
