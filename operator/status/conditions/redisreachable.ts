/** Whether the Redis of this spec answers, accepts writes, and holds the expected data. */
import { sendsPlainPassword } from '../../../api/plainpassword.ts'
import type { Observation, Observed } from '../../plan/observed.ts'
import { referenceId } from '../../plan/references.ts'
import { lastSeen } from '../lastseen.ts'
import type { Checks, Verdict } from './verdict.ts'
import { failed, unknown, verdict } from './verdict.ts'

export const redisReachableChecks: Checks = [
  { name: 'the look failed', says: ({ look }) => (look.kind === 'Failed' ? unseen(look) : undefined) },
  {
    name: 'writes are refused',
    says: ({ look }) => (look.kind === 'Seen' && look.refusal !== undefined ? failed(look.refusal) : undefined),
  },
  {
    name: 'it answers',
    says: ({ look, observed }) =>
      look.kind === 'Seen' ? verdict('True', 'RedisConnected', `Redis answers${plainPasswordText(observed)}`) : undefined,
  },
  {
    name: 'a reference is absent',
    says({ observed: { references } }) {
      const absent = references.find((state) => state.kind === 'Absent')
      return absent && failed(absent.error)
    },
  },
  {
    name: 'a reference cannot be read',
    says({ observed: { references } }) {
      const unread = references.find((state) => state.kind === 'Unknown')
      return unread && unknown(unread.error, `${unread.reference.kind} ${unread.reference.name} cannot be read: `)
    },
  },
  {
    name: 'the spec is unsound',
    says: ({ observed: { spec } }) =>
      spec.kind === 'Unsound' ? verdict('Unknown', 'NotObservedYet', 'The spec must be corrected first') : undefined,
  },
  {
    name: 'not asked yet',
    says: () => verdict('Unknown', 'NotObservedYet', 'Redis is asked within a few seconds'),
  },
]

function unseen(look: Extract<Observation, { kind: 'Failed' }>): Verdict {
  const said = failed(look.error)
  const seen = lastSeen(look)
  return seen === undefined ? said : { ...said, message: `${said.message}. Backlog and consumers in status are as of ${seen}` }
}

/** Redis works, so the condition stays True and keeps its reason. */
function plainPasswordText({ spec, references }: Observed): string {
  if (spec.kind === 'Unsound') return ''
  const { redis, sink } = spec.pipeline
  const plain = [redis, ...(sink.redis === undefined ? [] : [sink.redis])].some((target) => {
    if (target.kind !== 'UrlFrom') return sendsPlainPassword(target)
    const state = references.find(({ reference }) => referenceId(reference) === referenceId(target.from))
    return sendsPlainPassword(target, state?.kind === 'Found' ? state.value.trim() : undefined)
  })
  return plain ? '. The password travels unencrypted: write rediss://, or tls, where the server speaks TLS' : ''
}
