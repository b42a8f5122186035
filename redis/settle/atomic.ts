/**
 * The atomic path: per batch one script that, for each entry, looks whether it is still pending, whether it has been delivered
 * too often, whether its key is marked or its job exists, adds and marks it or writes its dead letter; one XACK at the end,
 * whose return goes into the ledger. A stale holder finds its entries gone; a rerun after a lost reply finds them settled;
 * there is nothing in between for a crash to fall into.
 *
 * The script holds Redis for some 20–70 µs an entry. A batch is therefore cut into pieces, and other clients get their turn
 * between them (pieces.ts). All are sent at once: over a distance a batch then still costs one round trip.
 */
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import { type AddOptions, type AddScript, addScriptFor } from '../bullmq/addscript.ts'
import { createJobComposer, type JobCall } from '../bullmq/encoder/composer.ts'
import { addOptionsOf, type BullQueue } from '../bullmq/queue.ts'
import { type RedisConnection, rejectionOn } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type Placement, queueKey } from '../placement.ts'
import type { DeadLetterReason } from '../record.ts'
import { type SettleAtomicallyArguments, type SettleAtomicallyReply, settleAtomicallyWith } from '../scripts/generated.ts'
import { unwritable } from '../stream/settlement.ts'
import { type SettleOutcome, type SettlePath, settlementOf, type Verdict } from './path.ts'
import { groupsOf, inPlaces, piecesOf } from './pieces.ts'

export function createAtomicPath(
  connection: RedisConnection,
  { place, target }: Placement,
  bull: BullQueue,
  options: { readonly maxDeliveries: number },
): SettlePath {
  /** A script and its composer, by BullMQ's script that adds. */
  const writers = new Map<AddScript, Writer>()
  const writerFor = (options: AddOptions): Writer => {
    const kind = addScriptFor(options)
    const writer = writers.get(kind) ?? {
      script: settleAtomicallyWith(bull.textsFor(options)),
      composer: createJobComposer(bull, target, undefined, options),
    }
    writers.set(kind, writer)
    return writer
  }
  const usual = writerFor(target.jobOptions)
  const writerOf = (verdict: Verdict) =>
    verdict.kind === 'Bury' || verdict.item.asked === undefined ? usual : writerFor(addOptionsOf(target, verdict.item))
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

  /** Keeps of the steps only the verdicts: the rest need not outlive the sending. */
  const send = (steps: readonly Step[], { script, composer }: Writer) => {
    const marks = steps.flatMap((step) => (step.call === undefined ? [] : [target.keys.mark(step.verdict.item.hash)]))
    const [firstId, lastId] = [steps[0]?.verdict.id ?? '', steps.at(-1)?.verdict.id ?? '']
    const args = { ...fixed, firstId, lastId, count: steps.length, ...contentsOf(steps, target.keys.scope) }
    const reply = script(connection, { ...keys, addKeys: composer.keys, marks }, args)
    return { reply, final: steps.map(({ verdict }) => verdict) }
  }

  /** Why some entries stay pending. That of a job goes before that of a record, which may be only a lack of room. */
  const failureIn = (texts: readonly string[]) => {
    const refused = texts.find((text) => text.startsWith('refused:'))
    if (refused !== undefined) return rejectionOn(connection, refused.slice('refused:'.length))
    const unwritten = texts.find((text) => text.startsWith('!'))
    return unwritten === undefined ? undefined : unwritable(connection, place, unwritten.slice(1))
  }

  const settlePiece = async (verdicts: readonly Verdict[], writer: Writer) => {
    const items = verdicts.flatMap((verdict) => (verdict.kind === 'Forward' ? [verdict.item] : []))
    const { reply, final } = send(withRefusals(verdicts, await writer.composer.compose(items)), writer)
    const settled = await reply
    const texts = inOrder(final, settled)
    return {
      waiting: settled.waiting,
      outcomes: texts.map((text, index) => outcomeOf(final[index], text)),
      failure: failureIn(texts),
    }
  }

  const settleGroup = async (verdicts: readonly Verdict[], writer: Writer) => {
    const pieces = piecesOf(verdicts)
    // All have ended before a failure of one is told: none may still be under way when the batch is tried again.
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
    waiting: async () => (await send([], usual).reply).waiting,
    close: bull.close,
  }
}

interface Writer {
  readonly script: ReturnType<typeof settleAtomicallyWith>
  readonly composer: ReturnType<typeof createJobComposer>
}

type Burying = Extract<Verdict, { kind: 'Bury' }>

/** A verdict after BullMQ has been asked: what it refuses to add is buried. */
type Step =
  | { readonly verdict: Extract<Verdict, { kind: 'Forward' }>; readonly call: Extract<JobCall, { kind: 'Add' }> }
  | { readonly verdict: Burying; readonly call?: never; readonly hash: string }

/** @param calls one per verdict to forward, in order */
function withRefusals(verdicts: readonly Verdict[], calls: readonly JobCall[]): readonly Step[] {
  let next = 0
  return verdicts.map((verdict): Step => {
    if (verdict.kind === 'Bury') return { verdict, hash: '' }
    const call = calls[next++]
    if (call?.kind === 'Add') return { verdict, call }
    const { id, item, redrives } = verdict
    const error = call?.error ?? 'refused'
    return { verdict: { kind: 'Bury', id, reason: 'SinkRejected', error, redrives }, hash: item.hash }
  })
}

function contentsOf(steps: readonly Step[], scope: string): Pick<SettleAtomicallyArguments, 'entries' | 'letters' | 'data'> {
  const entries: SettleAtomicallyArguments['entries'][number][] = []
  const letters: SettleAtomicallyArguments['letters'][number][] = []
  const data: (string | Buffer)[] = []
  for (const step of steps) {
    const { id, redrives } = step.verdict
    if (step.call === undefined) {
      const { reason, error } = step.verdict
      letters.push({ id, redrives, hash: step.hash, reason, error: error.slice(0, 1_000).toWellFormed() })
    } else {
      const { args, options } = step.call
      entries.push({ id, redrives, jobId: jobId(scope, step.verdict.item.hash), add: args, options })
      data.push(step.call.data)
    }
  }
  return { entries, letters, data }
}

/** The script answers for entries and for letters apart. */
function inOrder(final: readonly Verdict[], { forwarded, lettered }: SettleAtomicallyReply): readonly string[] {
  let entry = 0
  let letter = 0
  return final.map(({ kind }) => (kind === 'Forward' ? forwarded[entry++] : lettered[letter++]) ?? '')
}

function outcomeOf(verdict: Verdict | undefined, outcome: string): SettleOutcome {
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
      return verdict?.kind === 'Bury' ? dead(verdict.reason, verdict.error) : { kind: 'unsettled' }
    default:
      // The server refused the job or the record: the entry stays pending.
      return { kind: 'unsettled' }
  }
}
