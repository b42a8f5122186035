/**
 * The watchers of all pipelines: starts one when the reconciler asks for it, lets it look every few seconds, and tells when what
 * was seen would read differently in status. That test keeps an idle pipeline from being reconciled every five seconds.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { createSemaphore, type Semaphore } from '../../process/semaphore.ts'
import type { Reaping } from '../../redis/stream/reaping.ts'
import type { MadeDecision } from '../decisions.ts'
import type { Observation } from '../plan/observed.ts'
import { createReaper } from '../reaping/reaper.ts'
import type { ConfirmGone } from '../reaping/suspects.ts'
import { isQueueFull } from '../status/queuefull.ts'
import { roundAge, roundCount } from '../status/rounding.ts'
import { type Alarms, createAlarms } from './alarms.ts'
import { createConnections, type RedisConnections } from './connections.ts'
import type { Locate } from './locality.ts'
import type { ReferenceReader } from './referencereader.ts'
import { sleeperOf } from './sleepers.ts'
import { type Claims, createPipelineWatcher, type PipelineWatcher, type Watched } from './watcher.ts'

export interface PipelineWatchers {
  /**
   * Starts looking, or passes on a changed spec, mode or number of replicas.
   * @param before the observation of an earlier process
   */
  watch(key: string, watched: Watched, before?: Observation): void
  unwatch(key: string): void
  observation(key: string): Observation
  /** As it is watched now; none: nobody looks, or what its spec says cannot be carried out. */
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
  readonly alarms?: (onWake: (key: string) => void) => Alarms
  readonly onReaped: (key: string, consumer: string, reaping: Reaping) => void
  readonly onReapingFault: (key: string, error: StreamPipelineError) => void
  /** Something that shows in status changed; urgent: another number of consumers was decided. */
  readonly onChange: (key: string, urgent: boolean) => void
  /** Each decision with all it was made of. */
  readonly onDecision?: (key: string, made: MadeDecision) => void
  /** A look has its turn: a server's replies are read from now on. */
  readonly onBegin?: (key: string) => void
  /** A defect: a look itself never throws. */
  readonly onFault?: (key: string, thrown: unknown) => void
  /** After each look, for metrics. */
  readonly onLook?: (key: string, observation: Observation, tookMs: number) => void
}

interface Entry {
  watched: Watched
  readonly watcher: PipelineWatcher
  readonly stop: AbortController
  /** What ends the pause between two looks, or lets the next one begin at once when there is none yet. */
  wake: () => void
  /** An entry came while it slept: the look that follows tells whether there is anything to do. */
  rung: boolean
  /** The earlier process's observation, as `visible` shows it. */
  readonly said: string
}

export function createWatchers(options: WatchersOptions): PipelineWatchers {
  const { clock, everyMs, onChange, onLook = () => {} } = options
  const connections = options.connections ?? createConnections(clock)
  const entries = new Map<string, Entry>()
  const running = new Set<Promise<void>>()
  /** Turns by namespace. Otherwise thousands of pipelines at silent servers of one namespace would delay the looks of the others. */
  const turns = new Map<string, Semaphore>()
  const turnOf = (key: string): Semaphore => {
    const namespace = key.slice(0, key.indexOf('/'))
    const held = turns.get(namespace)
    if (held !== undefined) return held
    const fresh = createSemaphore(looksOfNamespace, { ms: longestTurnMs, timer: clock.after })
    turns.set(namespace, fresh)
    return fresh
  }
  const onWake = (key: string) => {
    const entry = entries.get(key)
    if (entry === undefined) return
    entry.rung = true
    entry.wake()
  }
  const alarms = options.alarms?.(onWake) ?? createAlarms({ clock, onWake })

  /** After a look. A failed one changes nothing: what comes while Redis is away should wake when it is back. */
  function settle(key: string, { watched, watcher, rung }: Entry): void {
    const { observation, lease } = watcher
    if (observation.kind === 'Failed' || lease === undefined) return
    const sleeper = sleeperOf(watched.pipeline, observation)
    if (sleeper === undefined) alarms.awake(key)
    // What woke it was nothing to do. It may come again and again, so the alarm waits for the next look.
    else if (!rung) alarms.sleeps(key, lease, sleeper)
  }

  function observationOf(key: string): Observation {
    const observation = entries.get(key)?.watcher.observation ?? { kind: 'None' }
    const wakesLate = alarms.refusal(key)
    return observation.kind === 'Seen' && wakesLate !== undefined ? { ...observation, wakesLate } : observation
  }

  async function run(key: string, entry: Entry): Promise<void> {
    const { signal } = entry.stop
    let said = entry.said
    let failures = 0
    // What runs is no news, or after each start every pipeline would be urgent.
    let replicas = entry.watched.currentReplicas
    let isFirst = true
    while (!signal.aborted) {
      const startedMs = clock.now()
      // Before the look: a change that comes during it must end the pause that follows.
      const pause = createPause(clock)
      entry.wake = pause.end
      const leave = await turnOf(key).take(signal)
      if (leave === undefined) break
      try {
        await entry.watcher.look(entry.watched, signal)
        if (signal.aborted) break
        settle(key, entry)
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
        options.onFault?.(key, thrown)
      } finally {
        leave()
      }
      // After a start all have looked within a second or two, and would again every few seconds: at first they are spread out.
      const spread = isFirst ? 0.5 + clock.random() : 0.95 + clock.random() / 10
      await pause.lasting(everyMs * spread * slowness(failures))
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
      const { reader, referencesEveryMs, confirmGone } = options
      const reaper = createReaper({
        clock,
        confirmGone,
        onReaped: (consumer, reaping) => options.onReaped(key, consumer, reaping),
        onFault: (error) => options.onReapingFault(key, error),
      })
      const watcher = createPipelineWatcher({
        reader,
        connections,
        clock,
        referencesEveryMs,
        locate: options.locate,
        checkEveryMs: everyMs * 6,
        reaper,
        claims: options.claims,
        before,
        onBegin: () => options.onBegin?.(key),
        onDecision: (made) => options.onDecision?.(key, made),
        onDefect: (thrown) => options.onFault?.(key, thrown),
      })
      const nowMs = clock.wall().getTime()
      const said = visible(before ?? { kind: 'None' }, nowMs, options.quietMs, watched.pipeline.sink.maxWaiting)
      const fresh: Entry = { watched, watcher, stop: new AbortController(), wake: () => {}, rung: false, said }
      entries.set(key, fresh)
      const task = run(key, fresh)
        .catch((thrown: unknown) => options.onFault?.(key, thrown))
        .finally(() => running.delete(task))
      running.add(task)
    },
    unwatch(key) {
      end(entries.get(key))
      entries.delete(key)
      alarms.awake(key)
    },
    observation: observationOf,
    pipeline: (key) => entries.get(key)?.watched.pipeline,
    async close() {
      for (const entry of entries.values()) end(entry)
      entries.clear()
      // A Redis that hangs must not hold up the end: what is cut short is done again by the next leader.
      await Promise.all([...running, alarms.close(), connections.close()])
    },
  }
}

const looksOfNamespace = 128
/** Together with the pause after a failure this stays below half a minute. */
const longestTurnMs = 10_000

/** The first failures may pass soon. After these, pauses grow: up to half a minute at the usual pace. */
const patient = 3
const slowest = 6
const slowness = (failures: number): number => Math.min(slowest, Math.max(1, failures - patient + 1))

function end(entry: Entry | undefined): void {
  entry?.stop.abort()
  entry?.wake()
}

/** Ended before it began, it does not begin. Signals would do, but each look would leave several, finalizers and all, to be collected. */
function createPause(clock: Clock) {
  let ended = false
  let wake = () => {}
  return {
    end() {
      ended = true
      wake()
    },
    async lasting(ms: number): Promise<void> {
      if (ended) return
      await new Promise<void>((resolve) => {
        const cancel = clock.after(ms, resolve)
        wake = () => {
          cancel()
          resolve()
        }
      })
    },
  }
}

/** Worth a look at once: another spec or mode, or a pod that is gone, whose entries should not wait. */
function isNews(before: Watched, after: Watched): boolean {
  if (before.pipeline !== after.pipeline || before.mode !== after.mode) return true
  return [...before.livingPods].some((uid) => !after.livingPods.has(uid))
}

/** Equal texts read the same in status. */
function visible(observation: Observation, nowMs: number, quietMs: number, maxWaiting: number): string {
  if (observation.kind === 'None') return ''
  const { decision, sample } = observation
  return JSON.stringify([
    observation.kind,
    observation.generation,
    observation.kind === 'Failed' ? observation.error.message : nowMs - (observation.quietSinceMs ?? nowMs) >= quietMs,
    decision.replicas,
    decision.limitedBy,
    observation.kind === 'Seen' && [
      decision.reason,
      observation.refusal?.message,
      observation.wakesLate?.message,
      observation.sample.queuePaused,
    ],
    sample && [sample.undelivered, sample.pending, sample.quarantined, sample.deadLetters, sample.lost].map(roundCount),
    sample?.missing,
    sample?.pin?.id,
    sample && isQueueFull(sample, maxWaiting),
    sample && roundAge(sample.oldestAgeMs),
    sample?.consumers.map(({ name, heartbeat }) => [name, heartbeat !== undefined]),
    observation.kind === 'Seen' &&
      observation.vanished.map(({ name, pending, release }) => [name, roundCount(pending), release.kind]),
  ])
}
