/**
 * The watchers of all pipelines from the operator's side. They run in processes of their own (program.ts); the host keeps the last
 * observations. A pipeline that ends its process is found (groups.ts) and set aside. All others are looked at in another process at once.
 *
 *   key:     Watched in a group ──process ends, alone──▶ Quarantined ──pause──▶ Suspected, alone ──lasts──▶ Main
 *   group:   Running ──ends──▶ judged; those of Main that are innocent start anew, after a pause that grows while that goes on
 *
 * No process runs without a pipeline to look at.
 */
import type { CompiledPipeline } from '../../../api/compiled.ts'
import { asFailure, failure, type StreamPipelineError } from '../../../api/errors.ts'
import { type Backoff, backoffMs } from '../../../process/backoff.ts'
import type { Clock } from '../../../process/clock.ts'
import type { Claimant } from '../../../redis/stream/claim.ts'
import type { Reaping } from '../../../redis/stream/reaping.ts'
import { lastSample } from '../../observe/lastsample.ts'
import type { ReferenceReader } from '../../observe/referencereader.ts'
import type { Watched } from '../../observe/watcher.ts'
import type { PipelineWatchers } from '../../observe/watchers.ts'
import type { Observation } from '../../plan/observed.ts'
import type { ConfirmGone } from '../../reaping/suspects.ts'
import { type Child, type ChildEnd, startChild } from '../child.ts'
import { createQuarantine } from '../quarantine.ts'
import { errorFrom, observationFrom, wireError, wireObservation } from '../wire.ts'
import { type Group, judge } from './groups.ts'
import type { FromLooks, LookSettings, Question, ToLooks, WireWatched } from './messages.ts'

interface LookHostOptions {
  readonly clock: Clock
  readonly settings: LookSettings
  readonly reader: Pick<ReferenceReader, 'read'>
  readonly confirmGone: ConfirmGone
  /** Whether a pipeline of this installation certainly no longer exists. */
  readonly pipelineGone: (holder: Claimant) => boolean
  readonly onReaped: (key: string, consumer: string, reaping: Reaping) => void
  readonly onReapingFault: (key: string, error: StreamPipelineError) => void
  /** A change that shows in status; urgent: the number of consumers was decided anew. */
  readonly onChange: (key: string, urgent: boolean) => void
  /** A line of the decision log. */
  readonly onDecision: (line: string) => void
  readonly onLook: (key: string, observation: Observation, tookMs: number) => void
  /** A process ended, or a look failed with a defect. */
  readonly onFault: (error: StreamPipelineError, fields: Readonly<Record<string, unknown>>) => void
}

interface Entry {
  watched: Watched
  observation: Observation
  group: RunningGroup | undefined
  /** Looks by the process of the current group. */
  looks: number
  /** Factor of the next probation: 1, then doubled each time. */
  suspected: number
}

interface RunningGroup extends Group {
  readonly keys: Set<string>
  readonly begun: Set<string>
  readonly child: Child<ToLooks>
  readonly startedMs: number
  isReady: boolean
  cancelProbation: () => void
}

/** A garbage collection of a full heap takes a tenth of that. A halt of the whole machine is detected separately. */
const silenceMs = 5_000
/** More than a thousand pipelines need, with the largest replies under way. */
const mostBytes = 224 * 2 ** 20
const endGraceMs = 5_000
/** Time for which suspects run apart before they are acquitted. */
const probationMs = 10_000
const mostSuspected = 64
const restarting: Backoff = { baseMs: 500, maxMs: 30_000 }
/** A process that lasted for so long did not fail at its start. */
const lastedMs = 60_000
/** Most processes of suspects, beside the main one: each takes some 50 MiB. */
const mostProbations = 3

export function createLookHost(options: LookHostOptions): PipelineWatchers {
  const { clock, settings } = options
  const entries = new Map<string, Entry>()
  const quarantine = createQuarantine(clock)
  const groups = new Set<RunningGroup>()
  /** Suspects that have no process yet. */
  const waiting: (readonly string[])[] = []
  const ending = new Set<Promise<void>>()
  let main: RunningGroup | undefined
  let ids = 0
  let closed = false
  /** Ends of the main process in a row, and whether the last one left no suspect. */
  let ends = 0
  let unexplained = false
  let cancelRestart: (() => void) | undefined

  function start(kind: Group['kind']): RunningGroup {
    const group: RunningGroup = {
      id: ++ids,
      kind,
      keys: new Set(),
      begun: new Set(),
      startedMs: clock.now(),
      isReady: false,
      cancelProbation: () => {},
      child: startChild<ToLooks, FromLooks>({
        program: 'looks',
        clock,
        silenceMs,
        mostBytes,
        onReady: () => greet(group),
        onMessage: (message) => hear(group, message),
        onEnd: (end) => ended(group, end),
      }),
    }
    groups.add(group)
    return group
  }

  /** Sends the current state: changes during the start are already in it. */
  function greet(group: RunningGroup): void {
    group.isReady = true
    group.child.send({ kind: 'Settings', settings })
    for (const key of group.keys) introduce(group, key)
  }

  function introduce(group: RunningGroup, key: string): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    const before = wireObservation(entry.observation, entry.watched.livingPods)
    group.child.send({ kind: 'Watch', key, watched: wireWatched(entry.watched), before })
  }

  function join(group: RunningGroup, key: string): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    entry.group = group
    entry.looks = 0
    group.keys.add(key)
    if (group.isReady) introduce(group, key)
  }

  function joinMain(keys: Iterable<string>): void {
    // Between an end and the next start pipelines wait without a group.
    if (closed || cancelRestart !== undefined) return
    for (const key of keys) {
      main ??= start('Main')
      join(main, key)
    }
  }

  function leave(key: string, entry: Entry): void {
    const { group } = entry
    entry.group = undefined
    if (group === undefined) return
    group.keys.delete(key)
    group.begun.delete(key)
    if (group.isReady) group.child.send({ kind: 'Unwatch', key })
    if (group.keys.size === 0) dismiss(group)
  }

  /** Ends a process that has no pipelines left. */
  function dismiss(group: RunningGroup): void {
    groups.delete(group)
    group.cancelProbation()
    if (main === group) main = undefined
    const gone = group.child.end(endGraceMs).finally(() => ending.delete(gone))
    ending.add(gone)
    probe()
  }

  function suspect(keys: readonly string[]): void {
    for (const key of keys) {
      const entry = entries.get(key)
      if (entry !== undefined) entry.suspected = Math.min(mostSuspected, entry.suspected * 2 || 1)
    }
    if (keys.length > 0) waiting.push(keys)
  }

  /** A pipeline that ends processes now and then is kept apart for longer each time. */
  const suspicion = (key: string) => entries.get(key)?.suspected ?? 1

  /** Starts processes for waiting suspects, up to the limit. */
  function probe(): void {
    while (!closed && [...groups].filter(({ kind }) => kind === 'Suspected').length < mostProbations) {
      const keys = waiting.shift()?.filter((key) => entries.get(key)?.group === undefined && entries.has(key))
      if (keys === undefined) return
      if (keys.length === 0) continue
      const group = start('Suspected')
      for (const key of keys) join(group, key)
      const lengthMs = probationMs * Math.max(...keys.map(suspicion))
      const pass = () => {
        const looked = [...group.keys].every((key) => (entries.get(key)?.looks ?? 2) >= 2)
        if (looked) acquit(group)
        else group.cancelProbation = clock.after(probationMs, pass)
      }
      group.cancelProbation = clock.after(lengthMs, pass)
    }
  }

  /** The process has lasted: its pipelines go back to the main group. */
  function acquit(group: RunningGroup): void {
    const keys = [...group.keys]
    group.keys.clear()
    for (const key of keys) {
      const entry = entries.get(key)
      if (entry !== undefined) entry.group = undefined
    }
    dismiss(group)
    joinMain(keys)
  }

  function ended(group: RunningGroup, { why, output }: ChildEnd): void {
    if (closed || !groups.delete(group)) return
    group.cancelProbation()
    for (const key of group.keys) {
      const entry = entries.get(key)
      if (entry !== undefined) entry.group = undefined
    }
    const verdict = judge(group, group.begun, unexplained)
    const detail = why ?? 'it ended'
    const suspects = verdict.suspected.flat()
    options.onFault(failure('Internal', { detail: `a process that looks at Redis ended: ${detail}` }), {
      suspected: suspects.slice(0, 20),
      guilty: verdict.guilty,
      ...(output === '' ? {} : { output }),
    })
    for (const keys of verdict.suspected) suspect(keys)
    for (const key of verdict.guilty) convict(key, detail)
    if (group === main) {
      main = undefined
      ends = clock.now() - group.startedMs > lastedMs ? 1 : ends + 1
      unexplained = suspects.length === 0
      restart(suspects.length > 0 ? 1 : ends)
    }
    probe()
  }

  /** Starts the others at once, unless earlier starts failed. */
  function restart(times: number): void {
    const rest = () => [...entries].filter(([key, { group }]) => group === undefined && !isSetAside(key)).map(([key]) => key)
    const begin = () => {
      cancelRestart = undefined
      joinMain(rest())
    }
    if (times === 1) begin()
    else cancelRestart = clock.after(backoffMs(times - 1, restarting, clock.random()), begin)
  }

  const isSetAside = (key: string) => quarantine.holds(key) || waiting.some((keys) => keys.includes(key))

  function convict(key: string, detail: string): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    quarantine.put(key, () => release(key))
    entry.observation = blind(entry, failure('LookQuarantined', { detail }))
    options.onChange(key, false)
  }

  /** The pause of the pipeline is over, or it has another spec. */
  function release(key: string): void {
    quarantine.forgo(key)
    suspect([key])
    probe()
  }

  function hear(group: RunningGroup, message: FromLooks): void {
    switch (message.kind) {
      case 'Begun':
        group.begun.add(message.key)
        return
      case 'Looked':
        looked(group, message)
        return
      case 'Changed':
        if (group.keys.has(message.key)) options.onChange(message.key, message.urgent)
        return
      case 'Ask':
        answer(group, message.id, message.question)
        return
      case 'Reaped':
        options.onReaped(message.key, message.consumer, message.reaping)
        return
      case 'ReapingFault':
        options.onReapingFault(message.key, errorFrom(message.error))
        return
      case 'Decided':
        options.onDecision(message.line)
        return
      case 'Fault':
        options.onFault(errorFrom(message.error), { pipeline: message.key })
        return
      default:
        message satisfies never
    }
  }

  function looked(group: RunningGroup, { key, observation, tookMs }: Extract<FromLooks, { kind: 'Looked' }>): void {
    group.begun.delete(key)
    const entry = entries.get(key)
    if (entry?.group !== group) return
    entry.looks += 1
    entry.observation = observationFrom(observation)
    options.onLook(key, entry.observation, tookMs)
  }

  function answer(group: RunningGroup, id: number, question: Question): void {
    answerOf(question).then(
      (value) => group.child.send({ kind: 'Answer', id, value }),
      (thrown: unknown) => group.child.send({ kind: 'Refusal', id, error: wireError(asFailure(thrown)) }),
    )
  }

  async function answerOf(question: Question): Promise<string | boolean> {
    switch (question.kind) {
      case 'Reference':
        return await options.reader.read(question.namespace, question.reference, question.maxAgeMs)
      case 'PipelineGone':
        return question.holder.cluster === settings.cluster && options.pipelineGone(question.holder)
      case 'Gone':
        return await options.confirmGone(question.namespace, question.name, question.uid, clock.now() - question.ageMs)
      default:
        return question satisfies never
    }
  }

  return {
    watch(key, watched) {
      const entry = entries.get(key)
      if (entry === undefined) {
        entries.set(key, { watched, observation: { kind: 'None' }, group: undefined, looks: 0, suspected: 0 })
        joinMain([key])
        return
      }
      const before = entry.watched
      entry.watched = watched
      const isSame = before.pipeline === watched.pipeline
      if (isSame && isEqual(before, watched)) return
      if (!isSame && quarantine.holds(key)) release(key)
      if (entry.group?.isReady === true) entry.group.child.send({ kind: 'Watch', key, watched: wireWatched(watched, isSame) })
    },
    unwatch(key) {
      const entry = entries.get(key)
      if (entry === undefined) return
      leave(key, entry)
      entries.delete(key)
      quarantine.forget(key)
    },
    observation: (key) => entries.get(key)?.observation ?? { kind: 'None' },
    pipeline: (key): CompiledPipeline | undefined => entries.get(key)?.watched.pipeline,
    async close() {
      closed = true
      quarantine.close()
      cancelRestart?.()
      entries.clear()
      waiting.length = 0
      const all = [...groups]
      groups.clear()
      for (const group of all) group.cancelProbation()
      await Promise.all([...all.map(({ child }) => child.end(endGraceMs)), ...ending])
    },
  }
}

function wireWatched({ pipeline, currentReplicas, mode, livingPods }: Watched, isSame = false): WireWatched {
  return {
    ...(isSame ? {} : { pipeline }),
    ...(currentReplicas === undefined ? {} : { currentReplicas }),
    ...(mode === undefined ? {} : { mode }),
    livingPods: [...livingPods],
  }
}

function isEqual(a: Watched, b: Watched): boolean {
  if (a.currentReplicas !== b.currentReplicas || a.mode !== b.mode || a.livingPods.size !== b.livingPods.size) return false
  return [...a.livingPods].every((uid) => b.livingPods.has(uid))
}

/** As after a failed look: nothing is known, and the number of consumers does not shrink. */
function blind({ observation, watched }: Entry, error: StreamPipelineError): Observation {
  const before = observation.kind === 'None' ? undefined : observation
  const replicas = before?.decision.replicas ?? watched.currentReplicas ?? 0
  const reason = `Redis is not asked: hold at ${replicas}`
  const decision = { replicas, recommended: replicas, reason, limitedBy: 'MetricsLoss' as const }
  const { generation } = watched.pipeline
  return { kind: 'Failed', generation, error, decision, ...(before?.generation === generation ? lastSample(before) : {}) }
}
