/**
 * Servers repeat their input: one without AUTH answers "unknown command, with args beginning with" and the password. Such a reply would
 * carry the password into logs and status. Errors are therefore cleared of the connection's passwords where they enter the program. This
 * happens in place, since ioredis hands the same error to each listener and command. User names stay: Redis reports them itself, and a
 * person who grants a right needs them.
 */
import type { Cluster, Redis } from 'ioredis'

const shown = '***'
/** Shorter ones occur within words of every message. */
const shortest = 3

function passwordsOf(connection: Redis | Cluster): readonly string[] {
  const given = connection.isCluster ? (connection as Cluster).options.redisOptions : (connection as Redis).options
  const { password, sentinelPassword } = (given ?? {}) as { password?: unknown; sentinelPassword?: unknown }
  return [password, sentinelPassword].filter((each) => typeof each === 'string').filter((each) => each.length >= shortest)
}

/** @returns the thrown value, its texts without the connection's passwords */
export function withoutPasswords<T>(thrown: T, connection: Redis | Cluster): T {
  const passwords = passwordsOf(connection)
  if (passwords.length > 0) clear(thrown, passwords, 0)
  return thrown
}

const deepest = 4

function clear(thrown: unknown, passwords: readonly string[], depth: number): void {
  if (!(thrown instanceof Error) || depth > deepest) return
  const cleared = (text: string) => passwords.reduce((left, password) => left.replaceAll(password, shown), text)
  // A property is redefined only where it contains a password. Other errors stay untouched.
  if (cleared(thrown.message) !== thrown.message) define(thrown, 'message', cleared(thrown.message))
  if (thrown.stack !== undefined && cleared(thrown.stack) !== thrown.stack) define(thrown, 'stack', cleared(thrown.stack))
  const { command } = thrown as { command?: { name?: unknown; args?: unknown } }
  if (command !== undefined && passwords.some((password) => JSON.stringify(command.args ?? '').includes(password)))
    define(thrown, 'command', { name: command.name })
  const { cause, lastNodeError, previousErrors } = thrown as {
    cause?: unknown
    lastNodeError?: unknown
    previousErrors?: unknown
  }
  for (const inner of [cause, lastNodeError, ...(Array.isArray(previousErrors) ? previousErrors : [])])
    clear(inner, passwords, depth + 1)
}

function define(error: Error, name: string, value: unknown): void {
  Object.defineProperty(error, name, { value, configurable: true, writable: true, enumerable: false })
}
