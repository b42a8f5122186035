/**
 * The watchers of all pipelines. It starts one when the reconciler asks for it, and lets it look every few seconds. It reports an
 * observation that would read differently in status. That test keeps an idle pipeline from being reconciled every five seconds.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { createSemaphore, type Semaphore } from '../../process/semaphore.ts'
import type { Reaping } from '../../redis/stream/reaping.ts'
import type { MadeDecision } from '../decisionrecorder.ts'
import type { Locate } from '../locality.ts'
import type { Observation } from '../plan/observed.ts'
import { createReaper } from '../reaping/reaper.ts'
import type { ConfirmGone } from '../reaping/suspects.ts'
import { createConnections, type RedisConnections } from './connections.ts'
import { idlePipelineOf } from './idlepipelines.ts'
import { createPause, pauseMs } from './pace.ts'
import type { ReferenceReader } from './referencereader.ts'
import type { Claims } from './trial.ts'
import { visible } from './visible.ts'
import { createWakers, type Wakers } from './wakers.ts'
import { createPipelineWatcher, type PipelineWatcher, type Watched } from './watcher.ts'

export interface PipelineWatchers {
  /**
   * Starts looking, or passes on a changed spec, mode or number of replicas.
   * @param before the observation of an earlier process
   */
  watch(key: string, watched: Watched, before?: Observation): void
  unwatch(key: string): void
  observation(key: string): Observation
  /** As it is watched now; undefined: it is not watched, or its spec cannot be carried out. */
  pipeline(key: string): CompiledPipeline | undefined
  /** Ends all looks and closes all connections. Idempotent. */
  close(): Promise<void>
}

interface WatchersOptions {
  readonly reader: Pick<ReferenceReader, 'read'>
  readonly clock: Clock
  readonly everyMs: number
  /** As in OperatorSettings. */
  readonly quietMs: number
  readonly referencesEveryMs: number
  /** The same server under the name by which it is found from here. */
  readonly locate: Locate
  readonly confirmGone: ConfirmGone
  readonly claims?: Claims | undefined
  /** Connections to Redis; default: real ones. */
  readonly connections?: RedisConnections
  /** Wakes pipelines that sleep; default: blocking reads on connections of its own. */
  readonly wakers?: (onWake: (key: string) => void) => Wakers
  readonly onReaped: (key: string, consumer: string, reaping: Reaping) => void
  readonly onReapingFailure: (key: string, error: StreamPipelineError) => void
  /** Something that shows in status changed; urgent: another number of consumers was decided. */
  readonly onChange: (key: string, urgent: boolean) => void
  /** Each decision with all it was made of. */
  readonly onDecision?: (key: string, made: MadeDecision) => void
  /** A look has its turn: a server's replies are read from now on. */
  readonly onBegin?: (key: string) => void
  /** A bug: a look itself never throws. */
  readonly onFailure?: (key: string, thrown: unknown) => void
  /** After each look, for metrics. */
  readonly onLook?: (key: string, observation: Observation, tookMs: number) => void
}

interface Entry {
  watched: Watched
  readonly watcher: PipelineWatcher
  readonly stop: AbortController
  /** Ends the pause between two looks. During a look, the loop then skips the pause after it. */
  wake: () => void
  /** An entry came while it slept: the look that follows finds out whether there is anything to do. */
  rung: boolean
  /** The earlier process's observation, as `visible` shows it. */
  readonly said: string
}

export function createWatchers(options: WatchersOptions): PipelineWatchers {
  const { clock, everyMs, onChange, onLook = () => {} } = options
  const connections = options.connections ?? createConnections(clock)
  const entries = new Map<string, Entry>()
  const running = new Set<Promise<void>>()
  const limiterOf = createLimiters(clock)
  const onWake = (key: string) => {
    const entry = entries.get(key)
    if (entry === undefined) return
    entry.rung = true
    entry.wake()
  }
  const wakers = options.wakers?.(onWake) ?? createWakers({ clock, onWake })

  function observationOf(key: string): Observation {
    const observation = entries.get(key)?.watcher.observation ?? { kind: 'None' }
    const wakesLate = wakers.refusal(key)
    return observation.kind === 'Seen' && wakesLate !== undefined ? { ...observation, wakesLate } : observation
  }

  async function run(key: string, entry: Entry): Promise<void> {
    const { signal } = entry.stop
    let said = entry.said
    let failures = 0
    // Running consumers are no news, or after each start every pipeline would be urgent.
    let replicas = entry.watched.currentReplicas
    let isFirst = true
    while (!signal.aborted) {
      const startedMs = clock.now()
      // Before the look: a change that comes during it must end the pause that follows.
      const pause = createPause(clock)
      entry.wake = pause.end
      const leave = await limiterOf(key).take(signal)
      if (leave === undefined) break
      try {
        await entry.watcher.look(entry.watched, signal)
        if (signal.aborted) break
        settle(wakers, key, entry)
        entry.rung = false
        const observation = observationOf(key)
        failures = observation.kind === 'Failed' ? failures + 1 : 0
        onLook(key, observation, clock.now() - startedMs)
        const says = visible(observation, clock.wall().getTime(), options.quietMs, entry.watched.pipeline.sink.maxWaiting)
        const decided = observation.kind === 'None' ? undefined : observation.decision.replicas
        if (says !== said) onChange(key, decided !== replicas)
        said = says
        replicas = decided
      } catch (thrown) {
        failures += 1
        options.onFailure?.(key, thrown)
      } finally {
        leave()
      }
      await pause.lasting(pauseMs(everyMs, failures, isFirst, clock.random()))
      isFirst = false
    }
    await entry.watcher.close()
  }

  return {
    watch(key, watched, before) {
      const entry = entries.get(key)
      if (entry !== undefined) {
        const before = entry.watched
        entry.watched = watched
        if (isNews(before, watched)) entry.wake()
        return
      }
      const watcher = createWatcher(options, connections, key, before)
      const nowMs = clock.wall().getTime()
      const said = visible(before ?? { kind: 'None' }, nowMs, options.quietMs, watched.pipeline.sink.maxWaiting)
      const fresh: Entry = { watched, watcher, stop: new AbortController(), wake: () => {}, rung: false, said }
      entries.set(key, fresh)
      const task = run(key, fresh)
        .catch((thrown: unknown) => options.onFailure?.(key, thrown))
        .finally(() => running.delete(task))
      running.add(task)
    },
    unwatch(key) {
      end(entries.get(key))
      entries.delete(key)
      wakers.awake(key)
    },
    observation: observationOf,
    pipeline: (key) => entries.get(key)?.watched.pipeline,
    async close() {
      for (const entry of entries.values()) end(entry)
      entries.clear()
      // A Redis that hangs must not hold up the end: the next leader does again the work that is cut short.
      await Promise.all([...running, wakers.close(), connections.close()])
    },
  }
}

/** After a look. A failed one changes nothing: an entry that comes while Redis is away should wake the pipeline when it is back. */
function settle(wakers: Wakers, key: string, { watched, watcher, rung }: Entry): void {
  const { observation, lease } = watcher
  if (observation.kind === 'Failed' || lease === undefined) return
  const idlePipeline = idlePipelineOf(watched.pipeline, observation)
  if (idlePipeline === undefined) wakers.awake(key)
  // An entry woke the pipeline in vain. That may happen again and again, so the waker leaves it out until the next look.
  else if (!rung) wakers.sleeps(key, lease, idlePipeline)
}

function createWatcher(
  options: WatchersOptions,
  connections: RedisConnections,
  key: string,
  before: Observation | undefined,
): PipelineWatcher {
  const { reader, clock, referencesEveryMs, confirmGone, locate, claims } = options
  const reaper = createReaper({
    clock,
    confirmGone,
    onReaped: (consumer, reaping) => options.onReaped(key, consumer, reaping),
    onFailure: (error) => options.onReapingFailure(key, error),
  })
  return createPipelineWatcher({
    reader,
    connections,
    clock,
    referencesEveryMs,
    locate,
    checkEveryMs: options.everyMs * 6,
    reaper,
    claims,
    before,
    onBegin: () => options.onBegin?.(key),
    onDecision: (made) => options.onDecision?.(key, made),
    onFailure: (thrown) => options.onFailure?.(key, thrown),
  })
}

const looksOfNamespace = 128
/** Together with the pause after a failure this stays below half a minute. */
const longestTurnMs = 10_000

/** One for each namespace. Otherwise thousands of pipelines at silent servers of one namespace would delay the looks of the others. */
function createLimiters(clock: Pick<Clock, 'after'>): (key: string) => Semaphore {
  const limiters = new Map<string, Semaphore>()
  return (key) => {
    const namespace = key.slice(0, key.indexOf('/'))
    const limiter = limiters.get(namespace) ?? createSemaphore(looksOfNamespace, { ms: longestTurnMs, timer: clock.after })
    limiters.set(namespace, limiter)
    return limiter
  }
}

function end(entry: Entry | undefined): void {
  entry?.stop.abort()
  entry?.wake()
}

/** Worth a look at once: another spec or mode, or a pod that is gone, whose entries should not wait. */
function isNews(before: Watched, after: Watched): boolean {
  if (before.pipeline !== after.pipeline || before.mode !== after.mode) return true
  return [...before.livingPods].some((uid) => !after.livingPods.has(uid))
}
