/**
 * The summary. True means that the spec of this generation is at work: its Redis answered, its objects are applied, and its
 * template is rolled out. A consumer is ready, or none is wanted. Requested states (suspend, Direct, zero) are no failures.
 */
import { isPaused, reconcileAnnotation } from '../../plan/names.ts'
import type { Facts } from '../facts.ts'
import { type Check, type Verdict, verdict } from './verdict.ts'

interface ReadyFacts extends Facts {
  /** The verdicts that it sums up, most telling first. */
  readonly parts: readonly Verdict[]
}

export const readyChecks: readonly Check<ReadyFacts>[] = [
  { name: 'reconciling is disabled', says: keptReady },
  { name: 'something is wrong', says: ({ parts }) => parts.find(({ status }) => status === 'False') },
  { name: 'the rollout cannot go on', says: heldRollout },
  { name: 'something is not known', says: ({ parts }) => parts.find(({ status }) => status === 'Unknown') },
  { name: 'the rollout is under way', says: rollingOut },
  {
    name: 'suspended',
    says: ({ observed: { spec } }) =>
      spec.kind === 'Sound' && spec.pipeline.suspend
        ? verdict('True', 'Suspended', 'spec.suspend is true, as asked for: nothing is moved. Set it to false to go on')
        : undefined,
  },
  {
    name: 'at work',
    says: () => verdict('True', 'Running', 'Redis answers, the objects match the spec, and consumers are available'),
  },
]

/** The last verdict stands, with the generation it was made for. */
function keptReady({ observed: { object }, generation }: ReadyFacts): Verdict | undefined {
  if (!isPaused(object)) return undefined
  const before = object.status?.conditions?.find(({ type }) => type === 'Ready')
  const of = before?.observedGeneration
  const text = `the annotation ${reconcileAnnotation}: disabled is set`
  if (before === undefined || of === undefined)
    return verdict('Unknown', 'ReconcileDisabled', `${text}, so the pipeline is not carried out. Remove it to have it reconciled`)
  const stands = `so Ready stays as it was found for generation ${of} of the spec, which is at ${generation}`
  return {
    ...verdict(before.status, 'ReconcileDisabled', `${text}, ${stands}. Remove it to have the objects reconciled`),
    generation: of,
  }
}

function heldRollout({ rollout, obstacles }: ReadyFacts): Verdict | undefined {
  if (rollout === undefined || rollout.kind === 'Done') return undefined
  const [first] = obstacles
  if (first !== undefined) return verdict('False', first.reason, `The rollout is not complete: ${rollout.text}. ${first.text}`)
  if (rollout.kind !== 'Stopped') return undefined
  return verdict('False', 'ProgressDeadlineExceeded', `The rollout has stopped: ${rollout.text}. ${rolloutRemedy}`)
}

export const rolloutRemedy =
  'Look at the pods with kubectl describe, and correct spec.consumer; another spec starts another rollout'

function rollingOut({ rollout }: ReadyFacts): Verdict | undefined {
  if (rollout?.kind !== 'Underway') return undefined
  return verdict('Unknown', 'Progressing', `The rollout is under way: ${rollout.text}`)
}
