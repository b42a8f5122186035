/** The processes that look at pipelines, each with its group of pipelines. No process runs without a pipeline to look at. */
import type { Clock } from '../../../process/clock.ts'
import { type ChildEnd, startChild } from '../child.ts'
import { wireObservation } from '../wire.ts'
import { type Entry, type RunningGroup, wireWatched } from './entries.ts'
import type { Group } from './groups.ts'
import type { FromLooks, LookSettings, ToLooks } from './messages.ts'

interface RunningGroupsParts {
  readonly clock: Clock
  readonly settings: LookSettings
  readonly programs: string | undefined
  readonly entries: ReadonlyMap<string, Entry>
  readonly onMessage: (group: RunningGroup, message: FromLooks) => void
  readonly onEnd: (group: RunningGroup, end: ChildEnd) => void
  /** The group has no pipelines left, and its process ends. */
  readonly onDismissed: (group: RunningGroup) => void
}

export interface RunningGroups {
  start(kind: Group['kind']): RunningGroup
  count(kind: Group['kind']): number
  join(group: RunningGroup, key: string): void
  leave(key: string): void
  /** Takes all pipelines out of the group and ends its process. Returns the pipelines. */
  dissolve(group: RunningGroup): readonly string[]
  /** The process has ended: its pipelines have no group. False: the group was dismissed before. */
  remove(group: RunningGroup): boolean
  close(): Promise<void>
}

/** A garbage collection of a full heap takes a tenth of that. A halt of the whole machine is detected separately. */
const silenceMs = 5_000
/** Above the need of a thousand pipelines with the largest replies under way. */
const mostBytes = 224 * 2 ** 20
const endGraceMs = 5_000
export function createRunningGroups(parts: RunningGroupsParts): RunningGroups {
  const { clock, settings, programs, entries, onMessage, onEnd, onDismissed } = parts
  const groups = new Set<RunningGroup>()
  const ending = new Set<Promise<void>>()
  let ids = 0

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

  function dismiss(group: RunningGroup): void {
    groups.delete(group)
    group.cancelProbation()
    const gone = group.child.end(endGraceMs).finally(() => ending.delete(gone))
    ending.add(gone)
    onDismissed(group)
  }

  return {
    start(kind) {
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
          programs,
          clock,
          silenceMs,
          mostBytes,
          onReady: () => greet(group),
          onMessage: (message) => onMessage(group, message),
          onEnd: (end) => onEnd(group, end),
        }),
      }
      groups.add(group)
      return group
    },
    count: (kind) => [...groups].filter((group) => group.kind === kind).length,
    join(group, key) {
      const entry = entries.get(key)
      if (entry === undefined) return
      entry.group = group
      entry.looks = 0
      group.keys.add(key)
      if (group.isReady) introduce(group, key)
    },
    leave(key) {
      const entry = entries.get(key)
      const group = entry?.group
      if (entry === undefined || group === undefined) return
      entry.group = undefined
      group.keys.delete(key)
      group.begun.delete(key)
      if (group.isReady) group.child.send({ kind: 'Unwatch', key })
      if (group.keys.size === 0) dismiss(group)
    },
    dissolve(group) {
      const keys = [...group.keys]
      detach(group, entries)
      group.keys.clear()
      dismiss(group)
      return keys
    },
    remove(group) {
      if (!groups.delete(group)) return false
      group.cancelProbation()
      detach(group, entries)
      return true
    },
    async close() {
      const all = [...groups]
      groups.clear()
      for (const group of all) group.cancelProbation()
      await Promise.all([...all.map(({ child }) => child.end(endGraceMs)), ...ending])
    },
  }
}

function detach({ keys }: RunningGroup, entries: ReadonlyMap<string, Entry>): void {
  for (const key of keys) {
    const entry = entries.get(key)
    if (entry !== undefined) entry.group = undefined
  }
}
