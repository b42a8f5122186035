/**
 * The composed forwarder: one script on the queue's Redis for a whole batch. It looks for the mark and the job of each key, adds
 * the missing jobs, and marks their keys. It is the queue's half of the split path, and what Direct dispatch runs, so that both
 * modes may be live during a flip.
 *
 * `WAIT` follows where the server has replicas. A failover of the queue's Redis may roll back a job and its mark, and the stream's
 * acknowledgement must not outlive them. Co-located pipelines have no such window: job, mark and acknowledgement share one offset.
 */

import { asFailure } from '../../../api/errors.ts'
import { type AddOptions, type AddScript, addScriptFor } from '../../bullmq/addscript.ts'
import { createJobComposer, type JobCall } from '../../bullmq/encoder/composer.ts'
import type { ForwardItem } from '../../bullmq/item.ts'
import { addOptionsOf } from '../../bullmq/joboptions.ts'
import type { BullQueue } from '../../bullmq/queue.ts'
import { type AddWay, byBullText } from '../../bullmq/specialisedadd.ts'
import { type RedisConnection, refusalOn } from '../../connect/connection.ts'
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
  way: AddWay,
  clock?: () => number,
): Forwarder {
  const { keys, windowMs, requestCopy = false } = target
  const queue = queueKey(target)
  /** Writers for requests with options of their own, by BullMQ's script that adds. The specialised add takes jobs that are all alike. */
  const writers = new Map<AddScript, Writer>()
  const made = (own: AddOptions, by: AddWay): Writer => ({
    way: by,
    script: forwardJobsWith(bull.textsFor(own, by)),
    composer: createJobComposer(bull, target, by, clock, own),
  })
  const writerFor = (own: AddOptions): Writer => {
    const kind = addScriptFor(own)
    const writer = writers.get(kind) ?? made(own, 'BullMQ')
    writers.set(kind, writer)
    return writer
  }
  const usual = made(target.jobOptions, way)
  const writerOf = (item: ForwardItem) => (item.asked === undefined ? usual : writerFor(addOptionsOf(target, item)))
  const confirmed = createConfirming(confirmation)

  /** Keeps nothing of the calls: they need not outlive the sending. */
  const send = (items: readonly ForwardItem[], { calls, job }: Composed, { script, composer }: Writer) => {
    const contents = contentsOf(keys.scope, items, calls)
    const marks = items.flatMap(({ hash }, index) => (calls[index]?.kind === 'Add' ? [keys.mark(hash)] : []))
    return script(connection, { addKeys: composer.keys, marks }, { queue, windowMs, requestCopy, job, ...contents })
  }

  const waiting = async () => {
    const nothing = { queue, windowMs, requestCopy, job: byBullText, items: [], adds: [], data: [], options: [] }
    return (await usual.script(connection, { addKeys: [`${queue}wait`], marks: [] }, nothing)).waiting
  }

  /** A function of its own: the one that waits for the reply keeps alive all that it holds. */
  const sendPiece = async (items: readonly ForwardItem[], writer: Writer) => {
    const composed = await writer.composer.compose(items)
    const refusals = composed.calls.map((call) => (call.kind === 'Refused' ? call.error : undefined))
    const isEmpty = refusals.every((error) => error !== undefined)
    return { refusals, sent: isEmpty ? undefined : send(items, composed, writer) }
  }

  const forwardPiece = async (items: readonly ForwardItem[], writer: Writer): Promise<Forwarded> => {
    const { refusals, sent } = await sendPiece(items, writer)
    if (sent === undefined) {
      return { outcomes: refusals.map((error = '') => ({ kind: 'Rejected', error })), waiting: await waiting() }
    }
    const reply = await sent
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

type Composed = Awaited<ReturnType<ReturnType<typeof createJobComposer>['compose']>>

interface Writer {
  readonly way: AddWay
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
  const pieces = groups.flatMap(({ kind, members }, group) =>
    piecesOf(members, kind.way).map((piece) => ({ piece, writer: kind, group })),
  )
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
): Pick<ForwardJobsArguments, 'items' | 'adds' | 'data' | 'options'> {
  const rows: ForwardJobsArguments['items'][number][] = []
  const adds: (string | Buffer)[] = []
  const data: (string | Buffer)[] = []
  const options: (string | Buffer)[] = []
  for (const [index, { hash, origin = 'direct' }] of items.entries()) {
    const call = calls[index]
    if (call?.kind !== 'Add') continue
    rows.push({ jobId: jobId(scope, hash), origin })
    if (call.add !== undefined) adds.push(call.add)
    data.push(call.data)
    options.push(call.options)
  }
  return { items: rows, adds, data, options }
}

function answered(connection: RedisConnection, id: string, answer: string): ForwardOutcome {
  if (answer.startsWith('refused:')) return { kind: 'Failed', failure: refusalOn(connection, answer.slice('refused:'.length)) }
  if (answer === 'forwarded') return { kind: 'Forwarded', jobId: id }
  if (answer === 'duplicate') return { kind: 'Duplicate', jobId: id }
  return { kind: 'Rejected', error: answer.replace(/^rejected:/, '') }
}
