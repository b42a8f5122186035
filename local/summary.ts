/** The summary of a run at its end: an object for programs, a few lines for people. */
import { formatAge } from '../api/duration.ts'
import type { Interruption, Reckoning } from './book.ts'
import type { Outcomes } from './demo/outcomes.ts'
import { grouped } from './numbers.ts'

/** Rows that are absent where they would be zero. */
interface Remarks {
  /** Entries that waited when the run began. */
  readonly history?: number
  /** Entries cut from the stream unread. */
  readonly lost?: number
  /** Entries that other programs took from the group. */
  readonly taken?: number
  /** Settled by consumers of another version, which do not count outcomes. */
  readonly settledOtherwise?: number
  /** Entries missing from the account: it is wrong by so many. */
  readonly unexplained?: number
  /** Consumers of others that read the group meanwhile; the numbers are of all. */
  readonly otherConsumers?: readonly string[]
  /** Times at which the stream's data was lost or set back. Before them the numbers are the last ones seen. */
  readonly interruptions?: readonly { readonly how: Interruption; readonly at: string; readonly left: number }[]
}

/** Of a run without a demo. */
interface Moved extends Remarks {
  readonly entries: number
  readonly forwarded: number
  readonly duplicates: number
  readonly deadLetters: number
  /** Entries not settled; they stay in the stream. */
  readonly left: number
  readonly maxReplicas: number
}

export type Summary =
  | { readonly kind: 'Demo'; readonly outcomes: Outcomes; readonly remarks: Remarks; readonly deadLettersGo: boolean }
  | { readonly kind: 'Moved'; readonly moved: Moved }

export function remarksOf(reckoning: Reckoning, others: ReadonlySet<string>): Remarks {
  const { history, lost, taken, otherwise, unexplained, interruptions } = reckoning
  return {
    ...(history > 0 && { history }),
    ...(lost > 0 && { lost }),
    ...(taken > 0 && { taken }),
    ...(otherwise > 0 && { settledOtherwise: otherwise }),
    ...(unexplained !== 0 && { unexplained }),
    ...(others.size > 0 && { otherConsumers: [...others] }),
    ...(interruptions.length > 0 && {
      interruptions: interruptions.map(({ how, atMs, left }) => ({ how, at: new Date(atMs).toISOString(), left })),
    }),
  }
}

export function movedOf(reckoning: Reckoning, maxReplicas: number, others: ReadonlySet<string>): Moved {
  const { entries, forwarded, duplicates, deadLetters, left } = reckoning
  return { entries, forwarded, duplicates, deadLetters, left, maxReplicas, ...remarksOf(reckoning, others) }
}

/** One JSON object in one line. */
export function summaryJson(summary: Summary): string {
  return JSON.stringify(summary.kind === 'Demo' ? { ...summary.outcomes, ...summary.remarks } : summary.moved)
}

export function summaryText(summary: Summary, elapsedMs: number): string {
  const rows = summary.kind === 'Demo' ? demoRows(summary) : movedRows(summary.moved)
  const width = Math.max(...rows.map(([, value]) => value.length))
  const lines = rows.map(
    ([label, value, note]) => `  ${label.padEnd(20)}${value.padStart(width)}${note === '' ? '' : `  ${note}`}`,
  )
  const { interruptions = [] } = summary.kind === 'Demo' ? summary.remarks : summary.moved
  const breaks = interruptions.map(({ how, at, left }) => `  At ${at} ${describeInterruption(how, left)}.`)
  const until = breaks.length === 0 ? [] : ['  Until then the numbers are those last seen.']
  return [`After ${formatAge(elapsedMs)}:`, ...lines, ...breaks, ...until].join('\n')
}

type Row = readonly [string, string, string]

function demoRows({ outcomes, remarks, deadLettersGo }: Extract<Summary, { kind: 'Demo' }>): Row[] {
  return [
    [
      'entries added',
      grouped(outcomes.entries),
      `${grouped(outcomes.uniqueKeys)} distinct requests, the others repeats or broken`,
    ],
    [
      'jobs executed',
      grouped(outcomes.jobs),
      outcomes.duplicateJobs === 0 ? 'each exactly once' : `and ${grouped(outcomes.duplicateJobs)} executions too many`,
    ],
    [
      'dead letters',
      grouped(outcomes.deadLetters),
      deadLettersGo && outcomes.deadLetters > 0 ? 'gone with the private Redis' : '',
    ],
    ['lost', grouped(outcomes.lost), outcomes.lost === 0 ? '' : 'distinct requests neither executed nor dead-lettered'],
    ...remarkRows({ ...remarks, lost: 0 }),
    ['most replicas', grouped(outcomes.maxReplicas), 'consumers at work at the same time'],
  ]
}

function movedRows(moved: Moved): Row[] {
  return [
    ...(moved.history === undefined
      ? []
      : [['waiting at start', grouped(moved.history), 'in the stream before this run'] as const]),
    ['entries added', grouped(moved.entries), ''],
    ['forwarded', grouped(moved.forwarded), 'as jobs'],
    ['duplicates', grouped(moved.duplicates), 'of a key forwarded before'],
    ['dead letters', grouped(moved.deadLetters), ''],
    ...remarkRows(moved),
    ['left in the stream', grouped(moved.left), ''],
    ['most replicas', grouped(moved.maxReplicas), 'consumers at work at the same time'],
  ]
}

function remarkRows({ lost = 0, taken = 0, settledOtherwise = 0, unexplained = 0, otherConsumers = [] }: Remarks): Row[] {
  const rows: Row[] = [
    ['lost', grouped(lost), 'cut from the stream unread'],
    ['taken by others', grouped(taken), 'acknowledged or skipped by other programs, or cut unread'],
    ['settled otherwise', grouped(settledOtherwise), 'by consumers of another version, which do not count outcomes'],
    ['unexplained', grouped(unexplained), 'the account does not add up by so many entries'],
    ['other consumers', grouped(otherConsumers.length), 'read the group too; the numbers above are of all'],
  ]
  return rows.filter(([, value]) => value !== '0')
}

/** @param left entries that waited when it was last seen */
export function describeInterruption(how: Interruption, left: number): string {
  const waiting =
    left === 0 ? 'nothing waited in it' : `${grouped(left)} ${left === 1 ? 'entry' : 'entries'} waited in it and are lost`
  switch (how) {
    case 'Emptied':
      return `Redis had lost its data: the stream and the ledger are gone; when last seen, ${waiting}`
    case 'Deleted':
      return `the stream had been deleted; when last seen, ${waiting}`
    case 'Remade':
      return 'the consumer group had been deleted and made again: entries may be delivered again'
    case 'SetBack':
      return 'Redis had gone back to older data: entries added or settled last may be lost or delivered again'
    default:
      return how satisfies never
  }
}

/** Whether a demo kept its promise: nothing lost, nothing run twice. */
export const isSound = (summary: Summary): boolean =>
  summary.kind !== 'Demo' || (summary.outcomes.lost === 0 && summary.outcomes.duplicateJobs === 0)
