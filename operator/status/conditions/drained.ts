/** Whether the stream has no unsettled entry under mode Direct, and whether consumers hold none under suspend. */

import { roundCount } from '../../rounding.ts'
import type { Facts } from '../facts.ts'
import { type Checks, type Verdict, verdict } from './verdict.ts'

export const drainedChecks: Checks = [
  {
    name: 'the spec is unsound',
    says: ({ observed: { spec } }) =>
      spec.kind === 'Unsound'
        ? verdict('Unknown', 'NotObservedYet', 'The spec must be corrected first: what it asks for is not known')
        : undefined,
  },
  {
    name: 'not asked for',
    says: ({ observed: { spec } }) =>
      spec.kind === 'Sound' && spec.pipeline.mode === 'Stream' && !spec.pipeline.suspend
        ? verdict('False', 'NotDraining', 'mode is Stream: the pipeline is not being drained')
        : undefined,
  },
  {
    name: 'not known',
    says: ({ look }) =>
      look.kind === 'Seen'
        ? undefined
        : verdict('Unknown', 'NotObservedYet', 'Whether entries are left is known when Redis answers'),
  },
  { name: 'suspended', says: suspended },
  { name: 'drained', says: drained },
]

function suspended({ observed: { spec }, look }: Facts): Verdict | undefined {
  if (look.kind !== 'Seen' || spec.kind === 'Unsound') return undefined
  const { suspend, mode } = spec.pipeline
  if (!suspend || mode === 'Direct') return undefined
  const { pending, undelivered } = look.sample
  if (pending === 0) {
    const waiting = undelivered === 0 ? '' : `. ${roundCount(undelivered)} others wait in the stream until spec.suspend is false`
    return verdict('True', 'StreamSettled', `Consumers hold no entry${waiting}`)
  }
  return verdict('False', 'Draining', `${roundCount(pending)} entries are held by consumers`)
}

function drained({ look, nowMs, observed: { spec, settings } }: Facts): Verdict | undefined {
  if (look.kind !== 'Seen') return undefined
  const { sample, quietSinceMs } = look
  const left = sample.undelivered + sample.pending
  const held = spec.kind === 'Sound' && spec.pipeline.suspend ? ', and spec.suspend keeps consumers from it' : ''
  if (left > 0) return verdict('False', 'Draining', `${roundCount(left)} entries are still to be settled${held}`)
  if (quietSinceMs === undefined || nowMs - quietSinceMs < settings.quietMs) {
    const text = 'The stream is settled; two quiet minutes are awaited, since producers learn of the mode with delay'
    return verdict('False', 'Draining', text)
  }
  return verdict('True', 'StreamSettled', 'Every entry is settled, and none came for two minutes')
}
