/** True: the pipeline waits for a person. Causes are errors that no retry mends, and a rollout that stopped. */
import { type Facts, unwatchedOf } from '../facts.ts'
import { rolloutRemedy } from './ready.ts'
import { type Checks, failed, unknown, type Verdict, verdict } from './verdict.ts'

export const stalledChecks: Checks = [
  { name: 'an error that only a person mends', says: terminal },
  { name: 'a rollout that stopped', says: stopped },
  { name: 'Deployments cannot be watched', says: unseen },
  { name: 'nothing', says: () => verdict('False', 'Progressing', 'No manual action is required') },
]

function terminal({ observed: { spec, schemaFailure, failures }, look }: Facts): Verdict | undefined {
  const errors = [
    ...(spec.kind === 'Unsound' ? [spec.error] : []),
    ...(schemaFailure === undefined ? [] : [schemaFailure]),
    ...failures.map(({ error }) => error),
    ...(look.kind === 'Failed' ? [look.error] : []),
    ...(look.kind === 'Seen' && look.refusal !== undefined ? [look.refusal] : []),
  ]
  const error = errors.find(({ retryable }) => !retryable)
  return error && { ...failed(error), status: 'True' }
}

/** A rollout that had stopped may go on by now, and one under way may have stopped. */
function unseen({ observed }: Facts): Verdict | undefined {
  const unwatched = unwatchedOf(observed)
  return (
    unwatched &&
    unknown(unwatched.error, `Whether the rollout has stopped is not known: ${unwatched.subject} cannot be watched: `)
  )
}

function stopped({ rollout, obstacles }: Facts): Verdict | undefined {
  if (rollout?.kind !== 'Stopped') return undefined
  const cause = obstacles[0]?.text ?? rolloutRemedy
  return verdict('True', 'ProgressDeadlineExceeded', `The rollout has stopped: ${rollout.text}. ${cause}`)
}
