/**
 * The totals of a run, kept from the group's accounts in Redis (redis/stream/account.ts). They are exact as long as the group
 * exists. The number of looks does not matter.
 *
 * Stream or group may be replaced during a run. The book then closes a chapter, with the account last seen, and opens the next:
 *
 * Emptied   stream and ledger are gone: Redis came back without data, or another program deleted all.
 * Deleted   the stream alone was deleted. The ledger went on.
 * Remade    the group alone was destroyed and created again.
 * SetBack   a count fell: Redis came back with older data (a restart without the last writes, a failover).
 *
 * In a closed chapter the numbers are a lower bound: changes after the last look are unknown.
 */
import { type Account, waitingIn } from '../redis/stream/account.ts'

export type Interruption = 'Emptied' | 'Deleted' | 'Remade' | 'SetBack'

interface Chapter {
  readonly opened: Account
  readonly latest: Account
}

interface EndedChapter extends Chapter {
  readonly how: Interruption
  /** Server time at which the next one was seen. */
  readonly atMs: number
}

export interface Book {
  readonly ended: readonly EndedChapter[]
  readonly present: Chapter
}

export const openBook = (account: Account): Book => ({ ended: [], present: { opened: account, latest: account } })

export function follow(book: Book, account: Account): Book {
  const { latest } = book.present
  // The group is not created again yet. The next account shows the cause.
  if (!account.present) return book
  const how = interruption(latest, account)
  if (how === undefined) return { ...book, present: { ...book.present, latest: account } }
  const opened = openingOf(how, latest, account)
  return { ended: [...book.ended, { ...book.present, how, atMs: account.atMs }], present: { opened, latest: account } }
}

/** Ends the book. A group that is still missing then has lost everything. */
export function closeBook(book: Book, account: Account): Book {
  if (account.present) return follow(book, account)
  const zero = { ...emptied(account), undelivered: account.length, counted: true }
  return {
    ended: [...book.ended, { ...book.present, how: 'Emptied', atMs: account.atMs }],
    present: { opened: emptied(account), latest: zero },
  }
}

const counts = ['settled', 'forwarded', 'duplicates', 'dead', 'trimmed', 'lost'] as const

function interruption(before: Account, after: Account): Interruption | undefined {
  if (after.born !== before.born && before.born !== 0) return 'Emptied'
  if (after.began !== before.began && before.began !== 0) return isNewStream(before, after) ? 'Deleted' : 'Remade'
  return after.added < before.added || counts.some((name) => after[name] < before[name]) ? 'SetBack' : undefined
}

/** Ids only grow within a stream, and a stream that has lost nothing still shows its first id. */
function isNewStream(before: Account, after: Account): boolean {
  if (after.added < before.added) return true
  return after.length > 0 && after.length === after.added && isAfter(after.first, before.last)
}

function isAfter(id: string, than: string): boolean {
  const [ms = 0n, seq = 0n] = id.split('-').map(BigInt)
  const [thanMs = 0n, thanSeq = 0n] = than.split('-').map(BigInt)
  return ms > thanMs || (ms === thanMs && seq > thanSeq)
}

/** The counts at which the new chapter begins. */
function openingOf(how: Interruption, before: Account, after: Account): Account {
  switch (how) {
    case 'Emptied':
      return emptied(after)
    case 'Deleted':
      return { ...before, began: after.began, added: 0, length: 0, pending: 0, undelivered: 0, taken: 0, counted: true }
    case 'Remade':
      // Only the new group knows how much is delivered again. Its sum begins at its first account.
      return { ...before, began: after.began, taken: 0, counted: false }
    case 'SetBack':
      return after
    default:
      return how satisfies never
  }
}

function emptied(account: Account): Account {
  const zero = { settled: 0, forwarded: 0, duplicates: 0, dead: 0, trimmed: 0, lost: 0, taken: 0, deadLetters: 0 }
  return { ...account, ...zero, added: 0, length: 0, pending: 0, undelivered: 0, counted: true }
}

export interface Reckoning {
  /** Entries added to the stream. */
  readonly entries: number
  /** Entries that waited when the run began. */
  readonly history: number
  readonly forwarded: number
  readonly duplicates: number
  /** Records written, of failed jobs as well. */
  readonly deadLetters: number
  /** Entries not settled yet. */
  readonly left: number
  /** Entries cut from the stream unread. */
  readonly lost: number
  /** Entries that other programs took from the group. */
  readonly taken: number
  /** Settled by consumers of another version, which do not count outcomes. */
  readonly otherwise: number
  /** Missing from the sum of the account; 0 as far as it can be checked. */
  readonly unexplained: number
  readonly interruptions: readonly { readonly how: Interruption; readonly atMs: number; readonly left: number }[]
}

export function reckon({ ended, present }: Book): Reckoning {
  const chapters: readonly Chapter[] = [...ended, present]
  const sum = (name: 'added' | 'deadLetters' | (typeof counts)[number]) =>
    chapters.reduce((total, { opened, latest }) => total + grown(opened[name], latest[name]), 0)
  const first = chapters[0]?.opened ?? present.opened
  return {
    entries: sum('added'),
    history: waitingIn(first),
    forwarded: sum('forwarded'),
    duplicates: sum('duplicates'),
    deadLetters: sum('deadLetters'),
    left: waitingIn(present.latest),
    lost: sum('lost'),
    taken: Math.max(0, present.latest.taken - present.opened.taken),
    otherwise: Math.max(0, sum('settled') - sum('forwarded') - sum('duplicates') - sum('dead')),
    unexplained: unexplained(present),
    interruptions: ended.map(({ how, atMs, latest }) => ({ how, atMs, left: waitingIn(latest) })),
  }
}

/** A count that fell began anew: the dead-letter stream may be deleted at any time. */
const grown = (before: number, after: number) => (after >= before ? after - before : after)

function unexplained({ opened, latest }: Chapter): number {
  if (!opened.counted || !latest.counted) return 0
  const came = waitingIn(opened) + latest.added - opened.added
  const went = (['settled', 'trimmed', 'lost', 'taken'] as const).reduce((sum, name) => sum + latest[name] - opened[name], 0)
  return came - went - waitingIn(latest)
}
