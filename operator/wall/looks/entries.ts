/** The pipelines that the operator has looked at, and the process of each. */
import type { Watched } from '../../observe/watcher.ts'
import type { Observation } from '../../plan/observed.ts'
import type { Child } from '../child.ts'
import type { Group } from './groups.ts'
import type { ToLooks, WireWatched } from './messages.ts'

export interface Entry {
  watched: Watched
  observation: Observation
  group: RunningGroup | undefined
  /** Looks by the process of the current group. */
  looks: number
  /** Factor of the next probation: 1, then doubled each time. */
  suspected: number
}

export interface RunningGroup extends Group {
  readonly keys: Set<string>
  readonly begun: Set<string>
  readonly child: Child<ToLooks>
  readonly startedMs: number
  isReady: boolean
  cancelProbation: () => void
}

export function wireWatched({ pipeline, currentReplicas, mode, livingPods }: Watched, isSame = false): WireWatched {
  return {
    ...(isSame ? {} : { pipeline }),
    ...(currentReplicas === undefined ? {} : { currentReplicas }),
    ...(mode === undefined ? {} : { mode }),
    livingPods: [...livingPods],
  }
}

export function isEqual(a: Watched, b: Watched): boolean {
  if (a.currentReplicas !== b.currentReplicas || a.mode !== b.mode || a.livingPods.size !== b.livingPods.size) return false
  return [...a.livingPods].every((uid) => b.livingPods.has(uid))
}
