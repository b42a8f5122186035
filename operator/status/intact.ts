/**
 * The condition DataIntact: lost entries, entries that other programs took, and the group that retention waits for. The worst comes
 * first.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { printableName } from '../../api/printable.ts'
import { redeliverCommand } from '../../redis/stream/ledger.ts'
import type { Sample } from '../../scaling/sample.ts'
import type { Missing } from '../../scaling/undelivered.ts'
import { acknowledgedAnnotation } from '../plan/names.ts'
import { roundAge, roundCount } from '../rounding.ts'
import type { ConditionReason } from './reasons.ts'

interface IntactVerdict {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: ConditionReason
  readonly message: string
}

/** An entry that holds up retention for less time is part of a backlog that consumers are working off. */
const pinnedForMs = 600_000

/** @param acknowledged lost entries that a person knows of */
export function intactOf(sample: Sample, pipeline: CompiledPipeline | undefined, acknowledged: number): IntactVerdict {
  const { lost, missing } = sample
  const taken = missing === undefined || pipeline === undefined ? '' : takenText(missing, pipeline)
  if (lost > acknowledged) {
    const remedy = 'raise source.retention.maxEntries, keep producers from trimming, or add consumers'
    const known = acknowledged > 0 ? `, ${acknowledged} of them acknowledged` : ''
    const message = `${lost} entries were trimmed before a consumer read them${known}: ${remedy}. Acknowledge them with the annotation ${acknowledgedAnnotation}: "${lost}"`
    return { status: 'False', reason: 'EntriesLost', message: taken === '' ? message : `${message}. ${taken}` }
  }
  const letters = pipeline?.deadLetter
  if (letters !== undefined && sample.deadLetters >= letters.maxEntries) {
    const message = `the dead-letter stream ${printableName(letters.stream)} holds deadLetter.maxEntries (${letters.maxEntries}): entries that should become dead letters stay pending until there is room. Replay or purge them with streampipeline dead, or raise maxEntries`
    return { status: 'False', reason: 'DeadLettersFull', message }
  }
  if (missing !== undefined && taken !== '') {
    if (missing.undecided > 0) return { status: 'Unknown', reason: 'EntriesUndecided', message: taken }
    return { status: 'True', reason: 'EntriesUnaccounted', message: taken }
  }
  const pinned = pinnedText(sample)
  if (pinned !== '') return { status: 'True', reason: 'RetentionPinned', message: pinned }
  if (lost > 0) return { status: 'True', reason: 'LossesAcknowledged', message: `${lost} lost entries are acknowledged` }
  return { status: 'True', reason: 'NothingLost', message: 'No entry was trimmed unread' }
}

function takenText({ unaccounted, undecided, from, sinceMs }: Missing, { source, idempotency }: CompiledPipeline): string {
  const since = new Date(sinceMs).toISOString().replace(/\.\d+Z$/, 'Z')
  const whose = `since ${since}: acknowledged by a stranger, forgotten with XGROUP DELCONSUMER, or skipped with XGROUP SETID`
  const sentences = [
    ...(unaccounted === 0 ? [] : [`Up to ${roundCount(unaccounted)} entries in the stream were taken by others ${whose}`]),
    ...(undecided === 0
      ? []
      : [`${roundCount(undecided)} entries were trimmed unread or taken by others, since ${since}; counts do not show which`]),
  ]
  const window = roundAge(idempotency.windowMs)
  const again = `settled entries after that id come again as well, and are duplicates only within ${window} (idempotency.window)`
  return `${sentences.join('. ')}. ${redeliverCommand(source.stream, source.group, from)} has them delivered again; ${again}`
}

function pinnedText({ atMs, pin }: Sample): string {
  if (pin === undefined || atMs - pin.sinceMs < pinnedForMs) return ''
  const remedy =
    pin.kind === 'pending'
      ? 'Have its consumer settle it'
      : 'Have the group read on, remove it, or name it in source.retention.ignoredGroups'
  return `Retention waits for entry ${pin.id}, ${pin.kind} in group ${printableName(pin.group)}, for ${roundAge(atMs - pin.sinceMs)}: that entry and all later ones stay in the stream. ${remedy}`
}
