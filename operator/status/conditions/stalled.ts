/** True: the pipeline waits for a person. Causes are errors that no retry mends, and a rollout that stopped. */
import type { Facts } from '../facts.ts'
import { rolloutRemedy } from './ready.ts'
import { type Checks, failed, type Verdict, verdict } from './verdict.ts'

export const stalledChecks: Checks = [
  { name: 'an error that only a person mends', says: terminal },
  { name: 'a rollout that stopped', says: stopped },
  { name: 'nothing', says: () => verdict('False', 'Progressing', 'No manual action is required') },
]

function terminal({ observed: { spec, schemaFault, faults }, look }: Facts): Verdict | undefined {
  const told = [
    ...(spec.kind === 'Unsound' ? [spec.error] : []),
    ...(schemaFault === undefined ? [] : [schemaFault]),
    ...faults.map(({ error }) => error),
    ...(look.kind === 'Failed' ? [look.error] : []),
    ...(look.kind === 'Seen' && look.refusal !== undefined ? [look.refusal] : []),
  ]
  const error = told.find(({ retryable }) => !retryable)
  return error && { ...failed(error), status: 'True' }
}

function stopped({ rollout, obstacles }: Facts): Verdict | undefined {
  if (rollout?.kind !== 'Stopped') return undefined
  const cause = obstacles[0]?.text ?? rolloutRemedy
  return verdict('True', 'ProgressDeadlineExceeded', `The rollout has stopped: ${rollout.text}. ${cause}`)
}
