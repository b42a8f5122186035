/**
 * The split and portable ways of settling: first the queue, by a forwarder, then the stream. In this order, because what is
 * acknowledged first could be lost in between, and what is forwarded first has its mark.
 */
import type { RedisConnection } from '../connection.ts'
import { type Burial, type StreamPlace, settleEntries } from '../stream/settlement.ts'
import type { Forwarder, ForwardOutcome } from './forwarder.ts'
import type { SettleOutcome, SettlePath, Verdict } from './settlepath.ts'

/** @param stream the stream's connection */
export function createTwoStepPath(stream: RedisConnection, place: StreamPlace, forwarder: Forwarder): SettlePath {
  return {
    kind: forwarder.kind,
    async settle(verdicts) {
      const work = verdicts.filter((verdict) => verdict.kind === 'Forward')
      const { outcomes: forwarded, waiting } = await forwarder.forward(work.map(({ item }) => item))
      const byId = new Map(work.map(({ id }, index) => [id, forwarded[index]]))
      const planned = verdicts.map((verdict) => plan(verdict, byId.get(verdict.id)))
      const acknowledged = planned.flatMap((step) => (step.kind === 'Acknowledge' ? [step.id] : []))
      const burials = planned.flatMap((step) => (step.kind === 'Bury' ? [step.burial] : []))
      const result = await settleEntries(stream, place, acknowledged, burials)
      let buried = 0
      const outcomes = planned.map((step): SettleOutcome => {
        switch (step.kind) {
          case 'Acknowledge':
            return { kind: step.outcome }
          case 'Wait':
            return { kind: 'contended' }
          case 'Bury': {
            const { reason, error } = step.burial
            return result.burials[buried++] === 'dead' ? { kind: 'dead', reason, error } : { kind: 'gone' }
          }
          default:
            return step satisfies never
        }
      })
      return { outcomes, waiting }
    },
    waiting: forwarder.waiting,
    close: forwarder.close,
  }
}

type Step =
  | { readonly kind: 'Acknowledge'; readonly id: string; readonly outcome: 'forwarded' | 'duplicate' }
  | { readonly kind: 'Bury'; readonly burial: Burial }
  | { readonly kind: 'Wait' }

function plan(verdict: Verdict, outcome: ForwardOutcome | undefined): Step {
  if (verdict.kind === 'Bury') return { kind: 'Bury', burial: verdict }
  const { id, item, redrives } = verdict
  switch (outcome?.kind) {
    case 'Forwarded':
      return { kind: 'Acknowledge', id, outcome: 'forwarded' }
    case 'Duplicate':
      return { kind: 'Acknowledge', id, outcome: 'duplicate' }
    case 'Rejected':
      return { kind: 'Bury', burial: { id, reason: 'SinkRejected', error: outcome.error, hash: item.hash, redrives } }
    case 'Contended':
    case undefined:
      return { kind: 'Wait' }
    default:
      return outcome satisfies never
  }
}
