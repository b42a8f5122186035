/** What a run did, told at its end: an object for programs, a few lines for people. */
import { formatAge } from '../api/duration.ts'
import type { Ledger } from './demo/ledger.ts'
import { grouped } from './numbers.ts'

/** Of a run that only moves other people's entries. */
interface Moved {
  readonly entries: number
  readonly forwarded: number
  readonly duplicates: number
  readonly deadLetters: number
  /** Entries nobody has settled yet; they stay in the stream. */
  readonly left: number
  readonly maxReplicas: number
}

export type Summary =
  | ({ readonly kind: 'Demo' } & { readonly ledger: Ledger })
  | ({ readonly kind: 'Moved' } & { readonly moved: Moved })

/** One JSON object in one line. */
export function summaryJson(summary: Summary): string {
  return JSON.stringify(summary.kind === 'Demo' ? summary.ledger : summary.moved)
}

export function summaryText(summary: Summary, elapsedMs: number): string {
  const rows = summary.kind === 'Demo' ? demoRows(summary.ledger) : movedRows(summary.moved)
  const width = Math.max(...rows.map(([, value]) => value.length))
  const lines = rows.map(
    ([label, value, note]) => `  ${label.padEnd(20)}${value.padStart(width)}${note === '' ? '' : `  ${note}`}`,
  )
  return [`After ${formatAge(elapsedMs)}:`, ...lines].join('\n')
}

type Row = readonly [string, string, string]

function demoRows(ledger: Ledger): Row[] {
  return [
    ['entries added', grouped(ledger.entries), `${grouped(ledger.uniqueKeys)} distinct requests, the others repeats or broken`],
    [
      'jobs executed',
      grouped(ledger.jobs),
      ledger.duplicateJobs === 0 ? 'each exactly once' : `and ${grouped(ledger.duplicateJobs)} executions too many`,
    ],
    ['dead letters', grouped(ledger.deadLetters), ''],
    ['lost', grouped(ledger.lost), ledger.lost === 0 ? '' : 'distinct requests neither executed nor dead-lettered'],
    ['most replicas', grouped(ledger.maxReplicas), 'consumers at work at the same time'],
  ]
}

function movedRows(moved: Moved): Row[] {
  return [
    ['entries added', grouped(moved.entries), ''],
    ['forwarded', grouped(moved.forwarded), 'as jobs'],
    ['duplicates', grouped(moved.duplicates), 'of a key forwarded before'],
    ['dead letters', grouped(moved.deadLetters), ''],
    ['left in the stream', grouped(moved.left), ''],
    ['most replicas', grouped(moved.maxReplicas), 'consumers at work at the same time'],
  ]
}

/** Whether a demo kept its promise: nothing lost, nothing run twice. */
export const isSound = (summary: Summary): boolean =>
  summary.kind !== 'Demo' || (summary.ledger.lost === 0 && summary.ledger.duplicateJobs === 0)
