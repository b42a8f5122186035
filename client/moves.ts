/**
 * The errors by which a handler reports that it moved its job. Such a move uses up no attempt. The error's name identifies it, or
 * its message for the rate limit, as in BullMQ itself. The handler may use another copy of BullMQ than this library. The names
 * stand here as text, so that the test kit loads no BullMQ; a test compares them with BullMQ's own.
 */
const moves: ReadonlySet<string> = new Set(['DelayedError', 'WaitingChildrenError', 'WaitingError'])
/** BullMQ's RateLimitError has no name of its own. */
const rateLimited = 'bullmq:rateLimitExceeded'

export function isMove(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false
  return moves.has(thrown.name) || thrown.message === rateLimited
}
