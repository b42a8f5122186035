/**
 * The split and portable ways of settling: first the queue, by a forwarder, then the stream. An entry that is acknowledged first
 * could be lost in between. One that is forwarded first has its mark.
 *
 * Before both, a script finds the entries that are still pending. On the atomic path this check is part of the one step, and is a
 * fence. Here it only narrows a window, but a wide one. A process that was stopped for longer than marks live, and then goes on,
 * would forward anew entries that others settled long ago.
 */

import type { StreamPipelineError } from '../../api/errors.ts'
import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { countDeliveries } from '../stream/pending.ts'
import { type DeadLetterOrder, settleEntries } from '../stream/settlement.ts'
import type { Forwarder, ForwardOutcome } from './forwarders/forwarder.ts'
import { type Disposition, type SettleOutcome, type SettlePath, settlementOf } from './path.ts'

/** @param stream the stream's connection */
export function createTwoStepPath(
  stream: RedisConnection,
  place: StreamPlace,
  forwarder: Forwarder,
  { maxDeliveries }: { readonly maxDeliveries: number },
): SettlePath {
  return {
    kind: forwarder.kind,
    async settle(verdicts) {
      const ids = verdicts.flatMap((verdict) => (verdict.kind === 'Forward' ? [verdict.id] : []))
      const counts = await countDeliveries(stream, place, ids)
      const deliveries = new Map(ids.map((id, index) => [id, counts[index] ?? 0]))
      const may = (id: string) => isWithin(deliveries.get(id) ?? 0, maxDeliveries)
      const work = verdicts.filter((verdict) => verdict.kind === 'Forward').filter(({ id }) => may(id))
      const { outcomes: forwarded, waiting } =
        work.length > 0
          ? await forwarder.forward(work.map(({ item }) => item))
          : { outcomes: [], waiting: await forwarder.waiting() }
      const byId = new Map(work.map(({ id }, index) => [id, forwarded[index]]))
      const planned = verdicts.map((verdict) =>
        verdict.kind === 'Forward' && !may(verdict.id)
          ? withheld(verdict, deliveries.get(verdict.id) ?? 0, maxDeliveries)
          : plan(verdict, byId.get(verdict.id)),
      )
      const acknowledged = planned.flatMap((step) => (step.kind === 'Acknowledge' ? [step.id] : []))
      const duplicates = planned.filter((step) => step.kind === 'Acknowledge' && step.outcome === 'duplicate').length
      const deadLetters = planned.flatMap((step) => (step.kind === 'DeadLetter' ? [step.deadLetter] : []))
      const result = await settleEntries(stream, place, acknowledged, deadLetters, duplicates)
      let written = 0
      const outcomes = planned.map((step): SettleOutcome => {
        switch (step.kind) {
          case 'Acknowledge':
            return { kind: step.outcome }
          case 'Wait':
            return { kind: 'contended' }
          case 'Unsettled':
            return { kind: 'unsettled' }
          case 'Gone':
            return { kind: 'gone' }
          case 'DeadLetter': {
            const { reason, error } = step.deadLetter
            const outcome = result.deadLetters[written++]
            if (outcome === 'refused') return { kind: 'unsettled' }
            return outcome === 'dead' ? { kind: 'dead', reason, error } : { kind: 'gone' }
          }
          default:
            return step satisfies never
        }
      })
      const failed = planned.find((step) => step.kind === 'Unsettled')
      return settlementOf(outcomes, waiting, failed?.failure ?? result.refusal)
    },
    waiting: forwarder.waiting,
    close: forwarder.close,
  }
}

type Step =
  | { readonly kind: 'Acknowledge'; readonly id: string; readonly outcome: 'forwarded' | 'duplicate' }
  | { readonly kind: 'DeadLetter'; readonly deadLetter: DeadLetterOrder }
  | { readonly kind: 'Wait' }
  | { readonly kind: 'Unsettled'; readonly failure: StreamPipelineError }
  | { readonly kind: 'Gone' }

const isWithin = (deliveries: number, ceiling: number) => deliveries > 0 && deliveries <= ceiling

/** Entries that are not forwarded at all. */
function withheld({ id, item, redrives }: Extract<Disposition, { kind: 'Forward' }>, deliveries: number, ceiling: number): Step {
  if (deliveries === 0) return { kind: 'Gone' }
  const error = `delivered ${deliveries} times; the ceiling is ${ceiling}`
  return { kind: 'DeadLetter', deadLetter: { id, reason: 'MaxDeliveries', error, hash: item.hash, redrives } }
}

function plan(verdict: Disposition, outcome: ForwardOutcome | undefined): Step {
  if (verdict.kind === 'DeadLetter') return { kind: 'DeadLetter', deadLetter: verdict }
  const { id, item, redrives } = verdict
  switch (outcome?.kind) {
    case 'Forwarded':
      return { kind: 'Acknowledge', id, outcome: 'forwarded' }
    case 'Duplicate':
      return { kind: 'Acknowledge', id, outcome: 'duplicate' }
    case 'Rejected':
      return { kind: 'DeadLetter', deadLetter: { id, reason: 'SinkRejected', error: outcome.error, hash: item.hash, redrives } }
    case 'Failed':
      return { kind: 'Unsettled', failure: outcome.failure }
    case 'Contended':
    case undefined:
      return { kind: 'Wait' }
    default:
      return outcome satisfies never
  }
}
