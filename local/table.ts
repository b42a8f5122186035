/** The live table: pure, a view and a width in, lines out. */
import { formatAge } from '../api/duration.ts'
import { printable } from '../api/printable.ts'
import { age, grouped } from './numbers.ts'
import { runningOf, type View } from './view.ts'

const labelWidth = 14

export function renderTable(view: View, width: number): string[] {
  const rows: [string, string][] = [
    ['backlog', backlog(view)],
    ['oldest age', view.sample === undefined ? '?' : `${age(view.sample.oldestAgeMs)} (target ${formatAge(view.targetAgeMs)})`],
    ['replicas', replicas(view)],
    ['forwarded', grouped(view.totals.forwarded)],
    ['duplicates', grouped(view.totals.duplicates)],
    ['dead letters', view.sample === undefined ? '?' : grouped(view.sample.deadLetters)],
    ['queue', queue(view)],
    ['decision', view.decision?.reason ?? ''],
  ]
  const lines = [
    `StreamPipeline ${view.name} on ${view.redis}, ${formatAge(view.elapsedMs)}`,
    '',
    ...rows.map(([label, value]) => `  ${label.padEnd(labelWidth)}${value}`),
    '',
    ...view.events.map((event) => `  ${event}`),
    ...(view.events.length > 0 ? [''] : []),
    footer(view),
  ]
  return lines.map((line) => cut(line, width))
}

function backlog({ sample }: View): string {
  if (sample === undefined) return '? (Redis does not answer)'
  const parts = [`${grouped(sample.undelivered)} undelivered`, `${grouped(sample.pending)} being forwarded`]
  if (sample.quarantined > 0) parts.push(`${grouped(sample.quarantined)} failing again and again`)
  if (sample.lost > 0) parts.push(`${grouped(sample.lost)} LOST (trimmed unread)`)
  if (sample.missing !== undefined) {
    const { unaccounted, undecided } = sample.missing
    if (unaccounted > 0) parts.push(`${grouped(unaccounted)} TAKEN BY OTHERS (still in the stream)`)
    if (undecided > 0) parts.push(`${grouped(undecided)} LOST OR TAKEN BY OTHERS`)
  }
  return parts.join(', ')
}

function replicas(view: View): string {
  const desired = view.decision === undefined ? '' : ` of ${view.decision.replicas}`
  const unready = new Map<string, number>()
  for (const { state } of view.replicas) {
    if (state.kind !== 'Running') unready.set(state.kind, (unready.get(state.kind) ?? 0) + 1)
  }
  const rest = [...unready].map(([kind, count]) => `${count} ${words[kind] ?? kind}`).join(', ')
  const others = view.others ? `, and ${grouped(view.others)} of others` : ''
  return `${runningOf(view)}${desired}${rest === '' ? '' : ` (${rest})`}${others}`
}

const words: Readonly<Record<string, string>> = { Starting: 'starting', BackingOff: 'restarting', Draining: 'draining' }

function queue(view: View): string {
  const waiting = view.sample === undefined ? '?' : `${grouped(view.sample.queueWaiting)} jobs waiting`
  return view.demo === undefined ? waiting : `${waiting}, ${grouped(view.demo.executions)} executed`
}

function footer({ phase }: View): string {
  switch (phase.kind) {
    case 'Running':
      return 'Ctrl-C drains and prints a summary.'
    case 'Draining':
      return 'Draining: finishing what is left. Ctrl-C again stops at once.'
    default:
      return phase satisfies never
  }
}

const cut = (line: string, width: number): string => printable(line, Math.max(1, width))

/** The same in one line, for logs. */
export function renderLine(view: View): string {
  const { sample, totals } = view
  const seen =
    sample === undefined
      ? 'backlog ?  oldest ?'
      : `backlog ${sample.undelivered + sample.pending}  oldest ${age(sample.oldestAgeMs)}`
  const dead = sample === undefined ? '?' : String(sample.deadLetters)
  return `${formatAge(view.elapsedMs).padStart(5)}  ${seen}  replicas ${runningOf(view)}/${view.decision?.replicas ?? '?'}  forwarded ${totals.forwarded}  duplicates ${totals.duplicates}  dead letters ${dead}`
}
