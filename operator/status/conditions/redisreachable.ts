/** Whether the Redis of this spec answers, takes writes, and holds what it should. */
import type { Checks } from './verdict.ts'
import { failed, unknown, verdict } from './verdict.ts'

export const redisReachableChecks: Checks = [
  { name: 'the look failed', says: ({ look }) => (look.kind === 'Failed' ? failed(look.error) : undefined) },
  {
    name: 'writes are refused',
    says: ({ look }) => (look.kind === 'Seen' && look.refusal !== undefined ? failed(look.refusal) : undefined),
  },
  {
    name: 'it answers',
    says: ({ look }) => (look.kind === 'Seen' ? verdict('True', 'RedisConnected', 'Redis answers') : undefined),
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
