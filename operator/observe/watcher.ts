/**
 * Looks at one pipeline's Redis, every few seconds, and keeps what was seen and decided. Each look resolves the references anew
 * (from a cache), so a rotated password is followed; after a failure with a fresh read, so that a mended Secret is noticed at
 * the next look. What could not be seen is an observation too: it decides by onMetricsLoss and names its cause.
 */
import type { CompiledPipeline, RedisTarget } from '../../api/compiled.ts'
import type { StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { open, type RedisConnection } from '../../redis/connect/connection.ts'
import { resolveTarget } from '../../redis/connect/references.ts'
import { keySpace } from '../../redis/keys.ts'
import { checkKeys } from '../../redis/preflight/backends.ts'
import { checkRights } from '../../redis/preflight/permissioncheck.ts'
import { type Claimant, claim } from '../../redis/stream/claim.ts'
import { ensureGroup } from '../../redis/stream/group.ts'
import type { Decision } from '../../scaling/decide.ts'
import { observe } from '../../scaling/observe.ts'
import { scalingPolicy } from '../../scaling/policy.ts'
import type { Sample } from '../../scaling/sample.ts'
import type { MadeDecision } from '../decisions.ts'
import type { Observation } from '../plan/observed.ts'
import type { Reaper } from '../reaping/reaper.ts'
import { addressId, type RedisConnections, type RedisLease } from './connections.ts'
import { diagnosed, refusalOf } from './diagnosis.ts'
import { lastSample, type Made } from './lastsample.ts'
import type { Locate } from './locality.ts'
import type { ReferenceReader } from './referencereader.ts'
import { createScalingMemory, type Shelf } from './scalingmemory.ts'
import { checkTlsMaterial } from './tlsmaterial.ts'

/** What the reconciler wants watched. */
export interface Watched {
  readonly pipeline: CompiledPipeline
  /** What the Deployment is told to run now; undefined: there is none. */
  readonly currentReplicas: number | undefined
  /** What producers are told; written to Redis, where they see it at once. */
  readonly mode: 'Stream' | 'Direct' | undefined
  /** Uids of pods in which a consumer may run. */
  readonly livingPods: ReadonlySet<string>
}

export interface PipelineWatcher {
  readonly observation: Observation
  /** Of the stream's Redis; undefined before the first look. */
  readonly lease: RedisLease | undefined
  /** One look, unless the signal aborts before its turn. Never rejects. */
  look(watched: Watched, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** How pipelines claim their streams (redis/stream/claim.ts). */
export interface Claims {
  /** Distinguishes this operator's pipelines from those of other clusters. */
  readonly cluster: string
  readonly isGone: (holder: Claimant) => Promise<boolean>
}

interface WatcherParts {
  readonly reader: Pick<ReferenceReader, 'read'>
  readonly connections: RedisConnections
  readonly clock: Clock
  /** How old referred contents may be. */
  readonly referencesEveryMs: number
  readonly locate: Locate
  /** How often it is tried whether Redis takes writes and whether its keys fit. */
  readonly checkEveryMs: number
  readonly reaper: Reaper
  /** Claims of this operator; absent: no stream is claimed. */
  readonly claims?: Claims | undefined
  /** The observation of an earlier process. */
  readonly before?: Observation | undefined
  /** The look has its turn: the server's replies are read from now on. */
  readonly onBegin?: (() => void) | undefined
  /** Each decision with all it was made of. */
  readonly onDecision?: ((made: MadeDecision) => void) | undefined
  /** A decision could not be computed from the stored state or the sample, and was made without them. */
  readonly onDefect?: ((thrown: unknown) => void) | undefined
}

/** What one look found. */
interface Look {
  readonly sample: Sample
  readonly refusal: StreamPipelineError | undefined
}

/** The last time it was tried whether entries could be settled here. */
interface Trial {
  readonly id: string
  readonly atMs: number
  readonly refusal: StreamPipelineError | undefined
}

/** After a failed look references are read anew, but not for each of the pipelines that share them. */
const referencesAfterFailureMs = 2_000
/** At the end a Redis that does not answer is not waited for. */
const lastWriteMs = 1_000

export function createPipelineWatcher(parts: WatcherParts): PipelineWatcher {
  const { reader, connections, clock, referencesEveryMs, locate, checkEveryMs, reaper, onDecision } = parts
  let observation: Observation = parts.before ?? { kind: 'None' }
  const memory = createScalingMemory(
    clock,
    (made) => onDecision?.(made),
    (thrown) => parts.onDefect?.(thrown),
  )
  /** Where the last look found that writes are taken. */
  let kept: { readonly lease: RedisLease; readonly pipeline: CompiledPipeline } | undefined
  let streamLease: RedisLease | undefined
  let queueLease: RedisLease | undefined
  let trial: Trial | undefined
  /** The stream that the last observation is of; undefined: an earlier process made it. */
  let seenPlace: string | undefined

  async function leaseFor(target: RedisTarget, namespace: string, held: RedisLease | undefined): Promise<RedisLease> {
    const maxAgeMs = observation.kind === 'Failed' ? Math.min(referencesAfterFailureMs, referencesEveryMs) : referencesEveryMs
    const named = await resolveTarget(target, (reference) => reader.read(namespace, reference, maxAgeMs))
    const address = locate(namespace, named)
    if (held !== undefined && held.id === addressId(address)) return held
    checkTlsMaterial(target.tls, address.tls)
    const lease = connections.lease(address, namespace)
    await held?.release()
    return lease
  }

  /** @param leaves gets the end of each further use of a connection */
  async function sampled({ pipeline, mode }: Watched, lease: RedisLease, leaves: (() => void)[]): Promise<Look> {
    const { namespace } = pipeline
    const { connection } = lease
    await open(connection)
    if (pipeline.sink.redis === undefined) {
      await queueLease?.release()
      queueLease = undefined
    } else {
      queueLease = await leaseFor(pipeline.sink.redis, namespace, queueLease)
      leaves.push(queueLease.enterNow())
      await open(queueLease.connection)
    }
    await memory.read(shelfOf(pipeline, lease))
    const queue = queueLease ?? lease
    const sample = await observe(connection, pipeline, queue.connection)
    return { sample, refusal: await tried(pipeline, mode, lease, queue) }
  }

  /** The mode written over again: it heals a Redis that was emptied, and is the truest test of whether writes are taken. */
  async function tried(
    pipeline: CompiledPipeline,
    mode: Watched['mode'],
    stream: RedisLease,
    queue: RedisLease,
  ): Promise<StreamPipelineError | undefined> {
    const { connection } = stream
    // A failover changes the role of a server within seconds.
    const unfit = await refusalOf(async () => {
      await stream.serverFit()
      if (queue !== stream) await queue.serverFit()
    }, connection)
    if (unfit !== undefined) {
      trial = undefined
      return unfit
    }
    const id = JSON.stringify([stream.id, queue.id, pipeline.generation, mode])
    const isFresh = trial?.id === id && trial.refusal === undefined && clock.now() - trial.atMs < checkEveryMs
    if (isFresh) return undefined
    const refusal = await refusalOf(async () => {
      await claimed(pipeline, connection)
      if (mode !== undefined) await connection.set(keySpace(pipeline.source.stream, pipeline.source.group).mode, mode)
      await checkRights(pipeline, connection, queue.connection)
      await checkKeys(pipeline, connection, queue.connection)
    }, connection)
    trial = { id, atMs: clock.now(), refusal }
    return refusal
  }

  /** Throws StreamClaimed if another pipeline holds the stream, which then stays unmarked. */
  async function claimed({ uid, namespace, name, source }: CompiledPipeline, connection: RedisConnection): Promise<void> {
    if (parts.claims === undefined || uid === '') return
    const { cluster, isGone } = parts.claims
    const { stream, group } = source
    const claimant = { cluster, namespace, name, uid }
    const refused = await claim(connection, keySpace(stream, group), { stream, group, claimant }, isGone)
    if (refused !== undefined) throw refused
  }

  /**
   * A group that starts at the end is made by its first consumer, which would find nothing new; and without a group nothing is ever
   * new to a pipeline that sleeps. So where none is to run it is made here.
   */
  async function madeGroup(pipeline: CompiledPipeline, connection: RedisConnection, sample: Sample, decision: Decision) {
    const { source, scaling, suspend } = pipeline
    const needed = !sample.groupExists && source.startFrom === 'End' && decision.replicas === 0
    if (!needed || suspend || scaling.policy !== 'Active') return undefined
    const keys = keySpace(source.stream, source.group)
    return await refusalOf(async () => void (await ensureGroup(connection, keys, source)), connection)
  }

  /** The last observation, if it is of the stream and queue of this pipeline. */
  function ofSame(before: Observation, pipeline: CompiledPipeline): Made | undefined {
    if (before.kind === 'None') return undefined
    const isSame = before.generation === pipeline.generation || seenPlace === placeOf(pipeline)
    return isSame ? before : undefined
  }

  function decided(watched: Watched, sample: Sample | undefined): Decision {
    return memory.decide(sample, scalingPolicy(watched.pipeline, watched.currentReplicas))
  }

  /** @returns why the state could not be kept */
  async function keep(pipeline: CompiledPipeline, lease: RedisLease): Promise<StreamPipelineError | undefined> {
    const refusal = await refusalOf(() => memory.write(shelfOf(pipeline, lease)), lease.connection)
    kept = refusal === undefined ? { pipeline, lease } : undefined
    return refusal
  }

  /** The connection may have been closed since the last look, so this is a use of its own. */
  async function keepAtLast(): Promise<void> {
    if (kept === undefined) return
    const { lease, pipeline } = kept
    const late = new AbortController()
    const waited = Promise.withResolvers<void>()
    const cancel = clock.after(lastWriteMs, () => {
      late.abort()
      waited.resolve()
    })
    const write = async () => {
      const leave = await lease.enter(late.signal)
      if (leave === undefined) return
      await refusalOf(async () => {
        await open(lease.connection)
        await memory.write(shelfOf(pipeline, lease), true)
      }, lease.connection)
      leave()
    }
    await Promise.race([write(), waited.promise])
    cancel()
  }

  return {
    get observation() {
      return observation
    },
    get lease() {
      return streamLease
    },
    async look(watched, signal) {
      const before = ofSame(observation, watched.pipeline)
      let atMs = clock.wall().getTime()
      const leaves: (() => void)[] = []
      try {
        streamLease = await leaseFor(watched.pipeline.redis, watched.pipeline.namespace, streamLease)
        const { namespace } = watched.pipeline
        const both = [streamLease, queueLease].filter((lease) => lease !== undefined)
        const use = await connections.enter(namespace, both, signal)
        if (use === undefined) return
        leaves.push(use)
        const turn = await streamLease.looks.take(signal)
        if (turn === undefined) return
        leaves.push(turn)
        atMs = clock.wall().getTime()
        parts.onBegin?.()
        const { connection } = streamLease
        const { sample: found, refusal } = await sampled(watched, streamLease, leaves)
        const { sample, vanished } = await reaper.reap(connection, watched.pipeline, watched.livingPods, found)
        const quietSinceMs = quietSince(before, sample, clock.wall().getTime())
        const decision = decided(watched, sample)
        kept = undefined
        const unmade = refusal ?? (await madeGroup(watched.pipeline, connection, sample, decision))
        const unkept = unmade ?? (await keep(watched.pipeline, streamLease))
        observation = {
          kind: 'Seen',
          generation: watched.pipeline.generation,
          atMs,
          sample,
          vanished,
          decision,
          ...(unkept === undefined ? {} : { refusal: unkept }),
          ...(quietSinceMs === undefined ? {} : { quietSinceMs }),
        }
        seenPlace = placeOf(watched.pipeline)
      } catch (thrown) {
        kept = undefined
        const decision = decided(watched, undefined)
        const error = await diagnosed(thrown, watched.pipeline, streamLease?.connection, queueLease?.connection)
        const { generation } = watched.pipeline
        observation = { kind: 'Failed', generation, error, decision, ...lastSample(before) }
        seenPlace = placeOf(watched.pipeline)
      } finally {
        for (const leave of leaves.toReversed()) leave()
      }
    },
    async close() {
      await keepAtLast()
      await Promise.all([streamLease?.release(), queueLease?.release()])
    },
  }
}

const placeOf = ({ redis, source, sink }: CompiledPipeline): string =>
  JSON.stringify([redis, source.stream, source.group, sink.redis, sink.prefix, sink.queue])

function shelfOf({ source }: CompiledPipeline, { connection, id }: RedisLease): Shelf {
  const { stream, group } = source
  return { connection, keys: keySpace(stream, group), id: JSON.stringify([id, stream, group]) }
}

/** Since when nothing has waited and nothing was added. */
function quietSince(before: Made | undefined, sample: Sample, nowMs: number): number | undefined {
  if (sample.undelivered + sample.pending > 0) return undefined
  const last = before?.sample
  const still = last === undefined || last.entriesAdded === sample.entriesAdded
  return still && before?.kind === 'Seen' && before.quietSinceMs !== undefined ? before.quietSinceMs : nowMs
}
