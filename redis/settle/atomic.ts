/**
 * The atomic path: one script for each batch. For each entry it checks whether the entry is still pending, whether it has been
 * delivered too often, and whether its key is marked or its job exists. It then adds and marks the entry, or writes its dead
 * letter. One XACK ends the batch, and its return goes into the ledger. A stale holder finds its entries gone, and a rerun after a
 * lost reply finds them settled. There is no moment in between for a crash.
 *
 * The script holds Redis for some 20–70 µs an entry. A batch is therefore cut into pieces, and other clients get their turn
 * between them (pieces.ts). All are sent at once: over a distance a batch then still costs one round trip.
 */
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import { type AddOptions, type AddScript, addScriptFor } from '../bullmq/addscript.ts'
import { createJobComposer, type JobCall } from '../bullmq/encoder/composer.ts'
import { addOptionsOf } from '../bullmq/joboptions.ts'
import type { BullQueue } from '../bullmq/queue.ts'
import { type AddWay, byBullText } from '../bullmq/specialisedadd.ts'
import { type RedisConnection, refusalOn } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type Placement, queueKey } from '../placement.ts'
import type { DeadLetterReason } from '../record.ts'
import { type SettleAtomicallyArguments, type SettleAtomicallyReply, settleAtomicallyWith } from '../scripts/generated.ts'
import { unwritable } from '../stream/settlement.ts'
import { type Disposition, type SettleOutcome, type SettlePath, settlementOf } from './path.ts'
import { groupsOf, inPlaces, piecesOf } from './pieces.ts'

export function createAtomicPath(
  connection: RedisConnection,
  { place, target }: Placement,
  bull: BullQueue,
  options: { readonly maxDeliveries: number; readonly add: AddWay },
): SettlePath {
  /** Writers for requests with options of their own, by BullMQ's script that adds. The specialised add takes jobs that are all alike. */
  const writers = new Map<AddScript, Writer>()
  const made = (own: AddOptions, way: AddWay): Writer => ({
    way,
    script: settleAtomicallyWith(bull.textsFor(own, way)),
    composer: createJobComposer(bull, target, way, undefined, own),
  })
  const writerFor = (own: AddOptions): Writer => {
    const kind = addScriptFor(own)
    const writer = writers.get(kind) ?? made(own, 'BullMQ')
    writers.set(kind, writer)
    return writer
  }
  const usual = made(target.jobOptions, options.add)
  const writerOf = (verdict: Disposition) =>
    verdict.kind === 'DeadLetter' || verdict.item.asked === undefined ? usual : writerFor(addOptionsOf(target, verdict.item))
  const keys = { stream: place.stream, deadLetters: place.deadLetters, stats: place.keys.stats }
  const fixed = {
    ...{ group: place.group, maxDeadLetters: place.maxDeadLetters, maxDeliveries: options.maxDeliveries },
    ...{
      queue: queueKey(target),
      windowMs: target.windowMs,
      requestCopy: target.requestCopy === true,
      hashAt: jobId(target.keys.scope, '').length + 1,
    },
  }

  /** Of the steps it keeps only the verdicts: the rest need not outlive the sending. */
  const send = (steps: readonly Step[], job: Buffer, { script, composer }: Writer) => {
    const marks = steps.flatMap((step) => (step.call === undefined ? [] : [target.keys.mark(step.verdict.item.hash)]))
    const [firstId, lastId] = [steps[0]?.verdict.id ?? '', steps.at(-1)?.verdict.id ?? '']
    const args = { ...fixed, job, firstId, lastId, count: steps.length, ...contentsOf(steps, target.keys.scope) }
    const reply = script(connection, { ...keys, addKeys: composer.keys, marks }, args)
    return { reply, final: steps.map(({ verdict }) => verdict) }
  }

  /** A function of its own: the one that waits for the reply keeps alive all that it holds. */
  const sendPiece = async (verdicts: readonly Disposition[], writer: Writer) => {
    const items = verdicts.flatMap((verdict) => (verdict.kind === 'Forward' ? [verdict.item] : []))
    const { calls, job } = await writer.composer.compose(items)
    return send(withRefusals(verdicts, calls), job, writer)
  }

  const settlePiece = async (verdicts: readonly Disposition[], writer: Writer) => {
    const { reply, final } = await sendPiece(verdicts, writer)
    const settled = await reply
    const texts = inOrder(final, settled)
    return {
      waiting: settled.waiting,
      outcomes: texts.map((text, index) => outcomeOf(final[index], text)),
      failure: failureIn(connection, place, texts),
    }
  }

  const settleGroup = async (verdicts: readonly Disposition[], writer: Writer) => {
    const pieces = piecesOf(verdicts, writer.way)
    // All have ended before a failure of one is reported: none may still be under way when the batch is tried again.
    const results = await Promise.allSettled(pieces.map((piece) => settlePiece(piece, writer)))
    const outcomes: SettleOutcome[] = []
    let waiting = 0
    let failure: StreamPipelineError | undefined
    for (const [index, result] of results.entries()) {
      if (result.status === 'rejected') {
        failure = asFailure(result.reason)
        outcomes.push(...(pieces[index] ?? []).map(() => ({ kind: 'unsettled' }) as const))
      } else {
        failure ??= result.value.failure
        outcomes.push(...result.value.outcomes)
        waiting = result.value.waiting
      }
    }
    return { outcomes, waiting, failure }
  }

  return {
    kind: 'Atomic',
    async settle(verdicts) {
      const groups = groupsOf(verdicts, writerOf)
      const settled = await Promise.all(groups.map(({ kind, members }) => settleGroup(members, kind)))
      const outcomes = inPlaces(
        groups,
        settled.map((each) => each.outcomes),
      )
      return settlementOf(outcomes, settled.at(-1)?.waiting ?? 0, settled.find((each) => each.failure)?.failure)
    },
    waiting: async () => (await send([], byBullText, usual).reply).waiting,
    close: bull.close,
  }
}

interface Writer {
  readonly way: AddWay
  readonly script: ReturnType<typeof settleAtomicallyWith>
  readonly composer: ReturnType<typeof createJobComposer>
}

type DeadLetterDisposition = Extract<Disposition, { kind: 'DeadLetter' }>

/** A disposition after BullMQ has been asked: an entry that it refuses to add becomes a dead letter. */
type Step =
  | { readonly verdict: Extract<Disposition, { kind: 'Forward' }>; readonly call: Extract<JobCall, { kind: 'Add' }> }
  | { readonly verdict: DeadLetterDisposition; readonly call?: never; readonly hash: string }

/** @param calls one per verdict to forward, in order */
function withRefusals(verdicts: readonly Disposition[], calls: readonly JobCall[]): readonly Step[] {
  let next = 0
  return verdicts.map((verdict): Step => {
    if (verdict.kind === 'DeadLetter') return { verdict, hash: '' }
    const call = calls[next++]
    if (call?.kind === 'Add') return { verdict, call }
    const { id, item, redrives } = verdict
    const error = call?.error ?? 'refused'
    return { verdict: { kind: 'DeadLetter', id, reason: 'SinkRejected', error, redrives }, hash: item.hash }
  })
}

function contentsOf(
  steps: readonly Step[],
  scope: string,
): Pick<SettleAtomicallyArguments, 'entries' | 'letters' | 'adds' | 'data' | 'options'> {
  const entries: SettleAtomicallyArguments['entries'][number][] = []
  const letters: SettleAtomicallyArguments['letters'][number][] = []
  const adds: (string | Buffer)[] = []
  const data: (string | Buffer)[] = []
  const options: (string | Buffer)[] = []
  for (const step of steps) {
    const { id, redrives } = step.verdict
    if (step.call === undefined) {
      const { reason, error } = step.verdict
      letters.push({ id, redrives, hash: step.hash, reason, error: error.slice(0, 1_000).toWellFormed() })
    } else {
      const { call, verdict } = step
      entries.push({ id, redrives, jobId: jobId(scope, verdict.item.hash) })
      if (call.add !== undefined) adds.push(call.add)
      data.push(call.data)
      options.push(call.options)
    }
  }
  return { entries, letters, adds, data, options }
}

/** The script answers for entries and for letters apart, and says nothing of entries that were all forwarded. */
function inOrder(final: readonly Disposition[], { forwarded, lettered }: SettleAtomicallyReply): readonly string[] {
  let entry = 0
  let letter = 0
  return final.map(({ kind }) =>
    kind === 'Forward' ? (forwarded.length === 0 ? 'forwarded' : (forwarded[entry++] ?? '')) : (lettered[letter++] ?? ''),
  )
}

/** Why some entries stay pending. The refusal of a job is reported before that of a record, which may be only a lack of room. */
function failureIn(connection: RedisConnection, place: Placement['place'], texts: readonly string[]) {
  const refused = texts.find((text) => text.startsWith('refused:'))
  if (refused !== undefined) return refusalOn(connection, refused.slice('refused:'.length))
  const unwritten = texts.find((text) => text.startsWith('!'))
  return unwritten === undefined ? undefined : unwritable(connection, place, unwritten.slice(1))
}

function outcomeOf(verdict: Disposition | undefined, outcome: string): SettleOutcome {
  const dead = (reason: DeadLetterReason, error: string) => ({ kind: 'dead', reason, error }) as const
  switch (outcome) {
    case 'forwarded':
    case 'duplicate':
    case 'gone':
      return { kind: outcome }
    case 'exhausted':
      return dead('MaxDeliveries', 'delivered too often')
    case 'rejected':
      return dead('SinkRejected', 'BullMQ refused to add the job')
    case 'dead':
      return verdict?.kind === 'DeadLetter' ? dead(verdict.reason, verdict.error) : { kind: 'unsettled' }
    default:
      // The server refused the job or the record: the entry stays pending.
      return { kind: 'unsettled' }
  }
}
