/** Whether the objects made for the pipeline match its spec. */
import { pipelineType, podMonitorType } from '../../plan/kinds.ts'
import { isPaused, reconcileAnnotation } from '../../plan/names.ts'
import type { Facts } from '../facts.ts'
import { type Checks, failed, unknown, type Verdict, verdict } from './verdict.ts'

export const reconciledChecks: Checks = [
  { name: 'pipelines cannot be watched', says: unwatchedPipelines },
  {
    name: 'the spec is unsound',
    says: ({ observed: { spec } }) => (spec.kind === 'Unsound' ? failed(spec.error) : undefined),
  },
  {
    name: 'reconciling is disabled',
    says({ observed: { object } }) {
      if (!isPaused(object)) return undefined
      const text = `the annotation ${reconcileAnnotation}: disabled is set, so the objects stay as they are`
      return verdict('Unknown', 'ReconcileDisabled', `${text}. Remove it to have them reconciled`)
    },
  },
  { name: 'the schema is outdated', says: ({ observed: { schemaFailure } }) => schemaFailure && failed(schemaFailure) },
  { name: 'a write failed', says: refusedWrite },
  {
    name: 'a reference is absent',
    says({ observed: { references } }) {
      const absent = references.find((state) => state.kind === 'Absent')
      return absent && failed(absent.error)
    },
  },
  { name: 'a reference cannot be read', says: unreadReference },
  { name: 'a kind cannot be watched', says: unwatchedKind },
  { name: 'PodMonitors are not installed', says: withoutPodMonitor },
  { name: 'all match', says: () => verdict('True', 'ObjectsApplied', 'All objects match the spec') },
]

function refusedWrite({ observed: { failures } }: Facts): Verdict | undefined {
  const [first] = failures
  return first && failed(first.error, first.error.code === 'NameTaken' ? '' : `${first.subject}: `)
}

/** While an object cannot be read, the operator removes nothing, and reports Unknown, not False. */
function unreadReference({ observed: { references } }: Facts): Verdict | undefined {
  for (const state of references) {
    const error = state.kind === 'Unknown' ? state.error : state.kind === 'Found' ? state.doubt : undefined
    const { kind, name } = state.reference
    if (error !== undefined) return unknown(error, `${kind} ${name} cannot be read, so what was last read of it holds: `)
  }
  return undefined
}

/** The spec may be another by now, so nothing that rests on it is known. */
function unwatchedPipelines({ observed: { dark = [] } }: Facts): Verdict | undefined {
  const unwatched = dark.find(({ kind }) => kind === pipelineType.kind)
  return unwatched && unknown(unwatched.error, `${unwatched.subject} cannot be watched: `)
}

function unwatchedKind({ observed: { dark = [] } }: Facts): Verdict | undefined {
  const unwatched = dark.find(({ kind }) => kind !== podMonitorType.kind)
  return unwatched && unknown(unwatched.error, `${unwatched.subject} cannot be watched: `)
}

function withoutPodMonitor({ observed: { dark = [] } }: Facts): Verdict | undefined {
  const scrape = dark.find(({ known }) => !known)
  if (scrape === undefined) return undefined
  const text = `All other objects match the spec; ${scrape.subject} cannot be watched, so there is no PodMonitor: ${scrape.error.message}`
  return verdict('True', 'PodMonitorMissing', `${text}. Install its definition, or leave --pod-monitor out`)
}
