/**
 * Looks at one pipeline's Redis, every few seconds, and keeps the observation and the decision. After a failure the references are read
 * afresh, so that a mended Secret is noticed at the next look. A failed look is an observation too: it decides by onMetricsLoss and names
 * its cause.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { Clock } from '../../process/clock.ts'
import { open, type RedisConnection } from '../../redis/connect/connection.ts'
import { keySpace } from '../../redis/keys.ts'
import { ensureGroup } from '../../redis/stream/group.ts'
import { observe } from '../../sampling/observe.ts'
import { arrivalRate } from '../../scaling/arrivals.ts'
import type { Decision } from '../../scaling/decide.ts'
import { scalingPolicy } from '../../scaling/policy.ts'
import type { Sample } from '../../scaling/sample.ts'
import type { MadeDecision } from '../decisionrecorder.ts'
import type { Locate } from '../locality.ts'
import type { Observation } from '../plan/observed.ts'
import type { Reaper } from '../reaping/reaper.ts'
import type { RedisConnections, RedisLease } from './connections.ts'
import { diagnosed, refusalOf } from './diagnosis.ts'
import { lastSample, type Made } from './lastsample.ts'
import { createPipelineServers, type PipelineServers } from './pipelineservers.ts'
import type { ReferenceReader } from './referencereader.ts'
import { createScalingMemory, type ScalingMemory } from './scalingmemory.ts'
import { createStateKeeper, shelfOf } from './statekeeper.ts'
import { type Claims, createTrial, type Try } from './trial.ts'

/** A pipeline as the reconciler wants it watched. */
export interface Watched {
  readonly pipeline: CompiledPipeline
  /** The number in the Deployment now; undefined: there is no Deployment. */
  readonly currentReplicas: number | undefined
  /** The mode of producers; written to Redis, where they see it at once. */
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
  readonly onFailure?: ((thrown: unknown) => void) | undefined
}

/** After a failed look references are read anew, but not for each of the pipelines that share them. */
const referencesAfterFailureMs = 2_000

export function createPipelineWatcher(parts: WatcherParts): PipelineWatcher {
  const { connections, clock, reaper } = parts
  let observation: Observation = parts.before ?? { kind: 'None' }
  const memory = createScalingMemory(clock, parts.onDecision, parts.onFailure)
  const keeper = createStateKeeper(clock, memory)
  const servers = createPipelineServers(parts)
  const tried = createTrial({ clock, checkEveryMs: parts.checkEveryMs, claims: parts.claims })
  /** The stream that the last observation is of; undefined: an earlier process made it. */
  let seenPlace: string | undefined

  function maxAgeMs(): number {
    const { referencesEveryMs } = parts
    return observation.kind === 'Failed' ? Math.min(referencesAfterFailureMs, referencesEveryMs) : referencesEveryMs
  }

  function decided({ pipeline, currentReplicas }: Watched, sample: Sample | undefined): Decision {
    return memory.decide(sample, scalingPolicy(pipeline, currentReplicas))
  }

  /** Undefined: the signal aborted before the look's turn. */
  async function seen(
    watched: Watched,
    before: Made | undefined,
    leaves: (() => void)[],
    signal: AbortSignal,
  ): Promise<Observation | undefined> {
    const { pipeline } = watched
    const lease = await servers.leaseStream(pipeline, maxAgeMs())
    const both = [lease, servers.queue].filter((each) => each !== undefined)
    for (const take of [() => connections.enter(pipeline.namespace, both, signal), () => lease.looks.take(signal)]) {
      const leave = await take()
      if (leave === undefined) return undefined
      leaves.push(leave)
    }
    const atMs = clock.wall().getTime()
    parts.onBegin?.()
    const { sample: found, refusal } = await sampled(watched, lease, leaves, { servers, memory, tried, maxAgeMs: maxAgeMs() })
    const { sample, vanished } = await reaper.reap(lease.connection, pipeline, watched.livingPods, found)
    const quietSinceMs = quietSince(before, sample, clock.wall().getTime())
    const decision = decided(watched, sample)
    keeper.lose()
    const madeOrNot = refusal ?? (await madeGroup(pipeline, lease.connection, sample, decision))
    const refused = madeOrNot ?? (await keeper.keep(pipeline, lease))
    return {
      kind: 'Seen',
      generation: pipeline.generation,
      atMs,
      sample,
      vanished,
      decision,
      arrivalsPerSecond: arrivalRate(decision.state.arrivals).perSecond,
      ...(refused === undefined ? {} : { refusal: refused }),
      ...(quietSinceMs === undefined ? {} : { quietSinceMs }),
    }
  }

  async function failed(thrown: unknown, watched: Watched, before: Made | undefined): Promise<Observation> {
    const { pipeline } = watched
    keeper.lose()
    const decision = decided(watched, undefined)
    const error = await diagnosed(thrown, pipeline, servers.stream?.connection, servers.queue?.connection)
    const { generation } = pipeline
    return { kind: 'Failed', generation, atMs: clock.wall().getTime(), error, decision, ...lastSample(before) }
  }

  return {
    get observation() {
      return observation
    },
    get lease() {
      return servers.stream
    },
    async look(watched, signal) {
      const place = placeOf(watched.pipeline)
      const before = ofSame(observation, watched.pipeline, seenPlace === place)
      const leaves: (() => void)[] = []
      try {
        const made = await seen(watched, before, leaves, signal)
        if (made === undefined) return
        observation = made
        seenPlace = place
      } catch (thrown) {
        observation = await failed(thrown, watched, before)
        seenPlace = place
      } finally {
        for (const leave of leaves.toReversed()) leave()
      }
    },
    async close() {
      await keeper.keepAtLast()
      await servers.release()
    },
  }
}

interface Sampling {
  readonly servers: PipelineServers
  readonly memory: ScalingMemory
  readonly tried: Try
  readonly maxAgeMs: number
}

/** @param leaves collects the functions that end uses of connections; this function adds one for each use that it begins */
async function sampled(
  { pipeline, mode }: Watched,
  lease: RedisLease,
  leaves: (() => void)[],
  { servers, memory, tried, maxAgeMs }: Sampling,
) {
  await open(lease.connection)
  const own = await servers.leaseQueue(pipeline, maxAgeMs)
  if (own !== undefined) {
    leaves.push(own.enterNow())
    await open(own.connection)
  }
  await memory.read(shelfOf(pipeline, lease))
  const queue = own ?? lease
  const sample = await observe(lease.connection, pipeline, queue.connection)
  return { sample, refusal: await tried(pipeline, mode, lease, queue) }
}

/**
 * The first consumer would make a group that starts at the end, and would find nothing new in it. And without a group nothing is
 * ever new to a sleeping pipeline. So the group is made here while no consumer is to run. Returns the refusal, if any.
 */
async function madeGroup(pipeline: CompiledPipeline, connection: RedisConnection, sample: Sample, decision: Decision) {
  const { source, scaling, suspend } = pipeline
  const needed = !sample.groupExists && source.startFrom === 'End' && decision.replicas === 0
  if (!needed || suspend || scaling.policy !== 'Active') return undefined
  const keys = keySpace(source.stream, source.group)
  return await refusalOf(async () => void (await ensureGroup(connection, keys, source)), connection)
}

/** The last observation, if it is of the stream and queue of this pipeline. */
function ofSame(before: Observation, { generation }: CompiledPipeline, samePlace: boolean): Made | undefined {
  if (before.kind === 'None') return undefined
  return before.generation === generation || samePlace ? before : undefined
}

const placeOf = ({ redis, source, sink }: CompiledPipeline): string =>
  JSON.stringify([redis, source.stream, source.group, sink.redis, sink.prefix, sink.queue])

/** Since when nothing has waited and nothing was added. */
function quietSince(before: Made | undefined, sample: Sample, nowMs: number): number | undefined {
  if (sample.undelivered + sample.pending > 0) return undefined
  const last = before?.sample
  const still = last === undefined || last.entriesAdded === sample.entriesAdded
  return still && before?.kind === 'Seen' && before.quietSinceMs !== undefined ? before.quietSinceMs : nowMs
}
