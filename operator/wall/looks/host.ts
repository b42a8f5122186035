/**
 * The watchers of all pipelines from the operator's side. They run in processes of their own (program.ts); the host keeps the last
 * observations. A pipeline that ends its process is found (groups.ts) and set aside. All others are looked at in another process at once.
 *
 *   key:     Watched in a group ──process ends, alone──▶ Quarantined ──pause──▶ Suspected, alone ──lasts──▶ Main
 *   group:   Running ──ends──▶ judged; those of Main that are innocent start anew, after a pause that grows while that goes on
 */
import type { CompiledPipeline } from '../../../api/compiled.ts'
import { failure } from '../../../api/errors.ts'
import type { PipelineWatchers } from '../../observe/watchers.ts'
import type { ChildEnd } from '../child.ts'
import { createQuarantine } from '../quarantine.ts'
import { blindly } from './blind.ts'
import { type Entry, isEqual, type RunningGroup, wireWatched } from './entries.ts'
import { judge } from './groups.ts'
import { createHearing } from './hearing.ts'
import { createMainGroup } from './maingroup.ts'
import type { LookHostOptions } from './options.ts'
import { createProbation } from './probation.ts'
import { createRunningGroups, type RunningGroups } from './runninggroups.ts'

interface LookHost extends PipelineWatchers {
  /** Starts the process ahead of the first pipeline. A start takes a fifth of a second. */
  prepare(): void
}

export function createLookHost(options: LookHostOptions): LookHost {
  const { clock, settings, programs } = options
  const entries = new Map<string, Entry>()
  const quarantine = createQuarantine(clock)
  const main = createMainGroup(clock, () => groups)
  const groups: RunningGroups = createRunningGroups({
    clock,
    settings,
    programs,
    entries,
    onMessage: createHearing(options, entries),
    onEnd: ended,
    onDismissed(group) {
      if (main.is(group)) main.dismissed()
      probation.start()
    },
  })
  const probation = createProbation({ clock, entries, groups, onAcquitted: main.join })

  function ended(group: RunningGroup, { why, output }: ChildEnd): void {
    if (!groups.remove(group)) return
    const verdict = judge(group, group.begun, main.unexplained)
    const detail = why ?? 'it ended'
    const suspects = verdict.suspected.flat()
    options.onFailure(failure('Internal', { detail: `a process that looks at Redis ended: ${detail}` }), {
      suspected: suspects.slice(0, 20),
      guilty: verdict.guilty,
      ...(output === '' ? {} : { output }),
    })
    for (const keys of verdict.suspected) probation.suspect(keys)
    for (const key of verdict.guilty) convict(key, detail)
    if (main.is(group)) main.ended(group, suspects.length > 0, unassigned)
    probation.start()
  }

  const unassigned = () => [...entries].filter(([key, { group }]) => group === undefined && !isSetAside(key)).map(([key]) => key)

  const isSetAside = (key: string) => quarantine.holds(key) || probation.isWaiting(key)

  function convict(key: string, detail: string): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    quarantine.put(key, () => release(key))
    entry.observation = blindly(entry.observation, entry.watched, failure('LookQuarantined', { detail }))
    options.onChange(key, false)
  }

  /** The pause of the pipeline is over, or it has another spec. */
  function release(key: string): void {
    quarantine.forgo(key)
    probation.suspect([key])
    probation.start()
  }

  return {
    prepare: main.prepare,
    watch(key, watched) {
      const entry = entries.get(key)
      if (entry === undefined) {
        entries.set(key, { watched, observation: { kind: 'None' }, group: undefined, looks: 0, suspected: 0 })
        main.join([key])
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
      groups.leave(key)
      entries.delete(key)
      quarantine.forget(key)
    },
    observation: (key) => entries.get(key)?.observation ?? { kind: 'None' },
    pipeline: (key): CompiledPipeline | undefined => entries.get(key)?.watched.pipeline,
    async close() {
      main.close()
      quarantine.close()
      entries.clear()
      probation.clear()
      await groups.close()
    },
  }
}
