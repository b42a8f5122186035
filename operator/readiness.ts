/**
 * The answer of `/readyz`. An operator that serves nothing is not ready: its caches are not filled, the schema is too old, or another
 * release serves all its namespaces. An operator that serves a part is ready; otherwise one tenant could block its rollout. The lines
 * below `ok` list what it cannot watch, and the namespaces that another release serves.
 */
import type { StreamPipelineError } from '../api/errors.ts'
import { pipelineType } from './plan/kinds.ts'
import type { DarkView } from './view.ts'

interface Readiness {
  readonly code: 200 | 503
  readonly body: string
}

interface Served {
  /** Every view was listed, or is known to be dark. */
  readonly settled: boolean
  /** Number of views of pipelines that were ever listed. */
  readonly filled: number
  readonly dark: readonly DarkView[]
  readonly schemaFailure: StreamPipelineError | undefined
  /** Number of namespaces that this release might serve: those with pipelines, or those of the option. */
  readonly wanted: number
  readonly theirs: readonly { readonly namespace: string; readonly holder: string }[]
}

const mostLines = 20

export function readiness({ settled, filled, dark, schemaFailure, wanted, theirs }: Served): Readiness {
  const notes = [
    ...theirs.map(({ namespace, holder }) => `namespace ${namespace} is served by another release: ${holder}`),
    ...grouped(dark),
  ]
  const more = notes.length > mostLines ? [`and ${notes.length - mostLines} more`] : []
  const text = (first: string) => `${[first, ...notes.slice(0, mostLines), ...more].join('\n')}\n`
  if (schemaFailure !== undefined) return { code: 503, body: text(schemaFailure.advice) }
  if (!settled) return { code: 503, body: text('caches are not filled yet') }
  if (filled === 0) return { code: 503, body: text(`no ${pipelineType.plural} can be listed anywhere`) }
  if (wanted > 0 && theirs.length >= wanted) return { code: 503, body: text('another release serves all namespaces') }
  return { code: 200, body: text('ok') }
}

/** One line for each namespace and cause: in a missing namespace all kinds are dark. */
function grouped(dark: readonly DarkView[]): readonly string[] {
  const groups = new Map<string, DarkView[]>()
  for (const view of dark) {
    const id = `${view.namespace ?? ''} ${view.error.code}`
    groups.set(id, [...(groups.get(id) ?? []), view])
  }
  return [...groups.values()].flatMap((views) => {
    const [first] = views
    if (first === undefined) return []
    const place = first.namespace === undefined ? '' : ` in ${first.namespace}`
    return [`${views.map(({ plural }) => plural).join(', ')}${place} cannot be watched: ${first.error.advice}`]
  })
}
