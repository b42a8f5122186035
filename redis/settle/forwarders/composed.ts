/**
 * The composed forwarder: mark, existing job, add and mark of a whole batch in one script on the queue's Redis. It is the
 * queue's half of the split path, and what Direct dispatch runs, so that both modes may be live during a flip.
 *
 * `WAIT` follows where the server has replicas: the stream's acknowledgement must not outlive a job and its mark that a failover
 * of the queue's Redis rolled back. Co-located pipelines have no such window: job, mark and acknowledgement share one offset.
 */

import { asFailure } from '../../../api/errors.ts'
import { type AddOptions, type AddScript, addScriptFor } from '../../bullmq/addscript.ts'
import { createJobComposer, type JobCall } from '../../bullmq/encoder/composer.ts'
import type { ForwardItem } from '../../bullmq/item.ts'
import { addOptionsOf, type BullQueue } from '../../bullmq/queue.ts'
import { type RedisConnection, rejectionOn } from '../../connect/connection.ts'
import { jobId } from '../../keys.ts'
import { type ForwardTarget, queueKey } from '../../placement.ts'
import { type ForwardJobsArguments, forwardJobsWith } from '../../scripts/generated.ts'
import { groupsOf, inPlaces, piecesOf } from '../pieces.ts'
import { createConfirming } from './confirming.ts'
import type { Forwarded, Forwarder, ForwardOutcome } from './forwarder.ts'
import type { Confirmation } from './replication.ts'

/** @param clock a job's time, milliseconds since 1970 */
export function createComposedForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  bull: BullQueue,
  confirmation: Confirmation,
  clock?: () => number,
): Forwarder {
  const { keys, windowMs, requestCopy = false } = target
  const queue = queueKey(target)
  /** A script and its composer, by BullMQ's script that adds. */
  const writers = new Map<AddScript, Writer>()
  const writerFor = (options: AddOptions): Writer => {
    const kind = addScriptFor(options)
    const writer = writers.get(kind) ?? {
      script: forwardJobsWith(bull.textsFor(options)),
      composer: createJobComposer(bull, target, clock, options),
    }
    writers.set(kind, writer)
    return writer
  }
  const usual = writerFor(target.jobOptions)
  const writerOf = (item: ForwardItem) => (item.asked === undefined ? usual : writerFor(addOptionsOf(target, item)))
  const confirmed = createConfirming(confirmation)

  /** Keeps nothing of the calls: they need not outlive the sending. */
  const send = (items: readonly ForwardItem[], calls: readonly JobCall[], { script, composer }: Writer) => {
    const contents = contentsOf(keys.scope, items, calls)
    const marks = items.flatMap(({ hash }, index) => (calls[index]?.kind === 'Add' ? [keys.mark(hash)] : []))
    return script(connection, { addKeys: composer.keys, marks }, { queue, windowMs, requestCopy, ...contents })
  }

  const waiting = async () => {
    const nothing = { queue, windowMs, requestCopy, items: [], data: [] }
    return (await usual.script(connection, { addKeys: [`${queue}wait`], marks: [] }, nothing)).waiting
  }

  const forwardPiece = async (items: readonly ForwardItem[], writer: Writer): Promise<Forwarded> => {
    const calls = await writer.composer.compose(items)
    const refusals = calls.map((call) => (call.kind === 'Refused' ? call.error : undefined))
    if (refusals.every((error) => error !== undefined)) {
      return { outcomes: refusals.map((error) => ({ kind: 'Rejected', error })), waiting: await waiting() }
    }
    const reply = await send(items, calls, writer)
    let next = 0
    const outcomes = items.map(({ hash }, index): ForwardOutcome => {
      const error = refusals[index]
      if (error !== undefined) return { kind: 'Rejected', error }
      return answered(connection, jobId(keys.scope, hash), reply.outcomes[next++] ?? '')
    })
    return { outcomes, waiting: reply.waiting }
  }

  return {
    kind: 'Split',
    async forward(items) {
      const { outcomes, waiting: count } = await inPieces(items, writerOf, forwardPiece)
      return { outcomes: await confirmed(items, outcomes), waiting: count }
    },
    waiting,
    close: bull.close,
  }
}

interface Writer {
  readonly script: ReturnType<typeof forwardJobsWith>
  readonly composer: ReturnType<typeof createJobComposer>
}

/** All are sent at once, and all have ended before a failure of one is returned. Throws when every piece failed. */
async function inPieces(
  items: readonly ForwardItem[],
  writerOf: (item: ForwardItem) => Writer,
  forward: (piece: readonly ForwardItem[], writer: Writer) => Promise<Forwarded>,
): Promise<Forwarded> {
  const groups = groupsOf(items, writerOf)
  const pieces = groups.flatMap(({ kind, members }, group) => piecesOf(members).map((piece) => ({ piece, writer: kind, group })))
  const results = await Promise.allSettled(pieces.map(({ piece, writer }) => forward(piece, writer)))
  const outcomes: ForwardOutcome[][] = groups.map(() => [])
  let waiting = 0
  let failures = 0
  for (const [index, result] of results.entries()) {
    const { piece = [], group = 0 } = pieces[index] ?? {}
    if (result.status === 'fulfilled') {
      outcomes[group]?.push(...result.value.outcomes)
      waiting = result.value.waiting
    } else {
      failures += 1
      const failure = asFailure(result.reason)
      if (failures === pieces.length) throw failure
      outcomes[group]?.push(...piece.map(() => ({ kind: 'Failed', failure }) as const))
    }
  }
  return { outcomes: inPlaces(groups, outcomes), waiting }
}

function contentsOf(
  scope: string,
  items: readonly ForwardItem[],
  calls: readonly JobCall[],
): Pick<ForwardJobsArguments, 'items' | 'data'> {
  const rows: ForwardJobsArguments['items'][number][] = []
  const data: (string | Buffer)[] = []
  for (const [index, { hash, origin = 'direct' }] of items.entries()) {
    const call = calls[index]
    if (call?.kind !== 'Add') continue
    rows.push({ jobId: jobId(scope, hash), origin, add: call.args, options: call.options })
    data.push(call.data)
  }
  return { items: rows, data }
}

function answered(connection: RedisConnection, id: string, answer: string): ForwardOutcome {
  if (answer.startsWith('refused:')) return { kind: 'Failed', failure: rejectionOn(connection, answer.slice('refused:'.length)) }
  if (answer === 'forwarded') return { kind: 'Forwarded', jobId: id }
  if (answer === 'duplicate') return { kind: 'Duplicate', jobId: id }
  return { kind: 'Rejected', error: answer.replace(/^rejected:/, '') }
}
