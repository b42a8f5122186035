/** The process that judges schemas, patterns and schedules, one document after the other. */
import { costlyProblems } from '../../../api/validation/costly.ts'
import { connectToParent } from '../parent.ts'
import type { FromJudge, ToJudge } from './messages.ts'

const { send } = connectToParent<ToJudge, FromJudge>(
  ({ id, value }) => send({ kind: 'Judged', id, problems: costlyProblems(value) }),
  async () => {},
)
