/**
 * The execution lock: while one worker runs a key, no other worker runs it.
 *
 * A lock is **Held** from the moment Redis confirms it. It is renewed at a third of its life. Each answer that the lock is still ours moves
 * the deadline. The deadline counts from *before* the renewal was sent, because Redis' own clock for the key started no earlier. A lock
 * becomes **Lost** when Redis answers that the key holds another token or none. It also becomes Lost when the deadline passes unanswered:
 * without Redis, the key must be taken for expired. Lost is final, even if Redis comes back: another worker may have run in between. A lock
 * becomes **Released** when the holder is done. The token limits release and renewal to our own lock.
 *
 * ioredis sends a command again if the connection broke, so each script may run twice. Acquiring recognises its own token. Renewing
 * and releasing are harmless when repeated.
 */
import { randomUUID } from 'node:crypto'
import { failure } from '../api/errors.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { replyCode } from '../redis/connect/replies.ts'
import { type AcquireExecutionReply, acquireExecution, releaseExecution, renewExecution } from '../redis/scripts/generated.ts'

export type LockLoss = 'Taken' | 'Expired'

export interface HeldLock {
  readonly kind: 'Held'
  /** Loses the lock if its deadline has passed: a process that stood still wakes before its timers have fired. */
  check(): void
  /** Ends renewal and deletes the key if it is still ours. Idempotent. Rejects when Redis cannot be asked; expiry then does it. */
  release(): Promise<void>
}

export interface ForeignLock {
  readonly kind: 'Foreign'
  /** Time until the other holder's lock expires, unless that holder renews it. */
  readonly remainingMs: number
}

/**
 * Takes the lock, or returns the other holder's. Throws catalogued Redis errors.
 *
 * @param onLost called once, when the lock stopped being ours while it was held
 */
export async function acquireLock(
  redis: RedisConnection,
  key: string,
  ttlMs: number,
  onLost: (loss: LockLoss) => void,
): Promise<HeldLock | ForeignLock> {
  const token = randomUUID()
  let askedAt: number
  let answer: AcquireExecutionReply
  do {
    askedAt = performance.now()
    answer = await acquireExecution(redis, { lock: key }, { token, ttlMs }).catch((thrown: unknown) => refuse(key, thrown))
    // An answer that took half the lock's life (Redis was away meanwhile) leaves too little of it: ask again, same token.
  } while (answer.acquired && performance.now() - askedAt > ttlMs / 2)
  if (!answer.acquired) return { kind: 'Foreign', remainingMs: Math.max(0, answer.remainingMs) }
  return holdLock(redis, key, token, ttlMs, askedAt, onLost)
}

function refuse(key: string, thrown: unknown): never {
  if (replyCode(thrown) !== 'WRONGTYPE') throw thrown
  throw failure('WrongKeyType', { key, actual: 'value of another type', expected: 'string' }, thrown)
}

function holdLock(
  redis: RedisConnection,
  key: string,
  token: string,
  ttlMs: number,
  heldSince: number,
  onLost: (loss: LockLoss) => void,
): HeldLock {
  let state: 'Held' | 'Lost' | 'Released' = 'Held'
  let renewing = false
  let expiresAt = heldSince + ttlMs
  let deadline = armDeadline()
  const renewal = setInterval(() => void prolong(), ttlMs / 3)

  function armDeadline(): NodeJS.Timeout {
    return setTimeout(() => lose('Expired'), Math.max(0, expiresAt - performance.now()))
  }

  function stop(next: 'Lost' | 'Released'): void {
    state = next
    clearTimeout(deadline)
    clearInterval(renewal)
  }

  function lose(loss: LockLoss): void {
    if (state !== 'Held') return
    stop('Lost')
    onLost(loss)
  }

  async function prolong(): Promise<void> {
    if (renewing) return
    renewing = true
    const askedAt = performance.now()
    try {
      const { renewed } = await renewExecution(redis, { lock: key }, { token, ttlMs })
      if (state !== 'Held') return
      if (!renewed) return lose('Taken')
      clearTimeout(deadline)
      expiresAt = askedAt + ttlMs
      deadline = armDeadline()
    } catch {
      // Not an answer: the next turn asks again, and the deadline decides if none comes in time.
    } finally {
      renewing = false
    }
  }

  return {
    kind: 'Held',
    check() {
      if (performance.now() >= expiresAt) lose('Expired')
    },
    async release() {
      if (state === 'Released') return
      stop('Released')
      await releaseExecution(redis, { lock: key }, { token })
    },
  }
}
