/**
 * The set-up that a server must grant before any command is sent. ioredis reports a refused SELECT as an event, and continues in
 * database 0. There another tenant may own the same keys. Here the refusal fails the connection, at the first connect and at each
 * later one.
 *
 * ioredis sends the commands of its handshake through the connection's own methods. `select` is therefore replaced on the
 * connection, and on what is duplicated from it: BullMQ's worker blocks on such a duplicate.
 */
import type { Redis } from 'ioredis'
import { failure, StreamPipelineError } from '../../api/errors.ts'
import { withoutPasswords } from './redaction.ts'
import { redisFailure, replyCode } from './replies.ts'

/** @param label the server's name in messages, without secrets */
export function failUnfit(connection: Redis, label: string): void {
  const { select, duplicate } = connection
  connection.select = async (database: string | number) => {
    try {
      return await select.call(connection, database)
    } catch (thrown) {
      withoutPasswords(thrown, connection)
      const code = replyCode(thrown)
      // Without a code: the connection was lost, and ends by itself. NOAUTH: HELLO or AUTH reports the refusal,
      // or ioredis logs in after HELLO failed.
      if (code === undefined || code === 'NOAUTH') throw thrown
      const refused = refusedDatabase(label, String(database), code, thrown)
      connection.recoverFromFatalError(refused, refused, {})
      // Without an answer the handshake goes no further, and the connection never counts as ready.
      return await new Promise<never>(leaveUnanswered)
    }
  }
  connection.duplicate = (override) => {
    const copy = duplicate.call(connection, override)
    failUnfit(copy, label)
    return copy
  }
  connection.on('error', (error: unknown) => {
    withoutPasswords(error, connection)
    const refused = error instanceof StreamPipelineError || replyCode(error) !== undefined
    // A reply that fails a connection is the refusal of its set-up.
    if (connection.status !== 'ready' && error instanceof Error && refused) failUnfulfilled(connection, error)
  })
}

/** The connection it belongs to is being closed. */
function leaveUnanswered() {}

function refusedDatabase(address: string, database: string, code: string, thrown: unknown) {
  const detail = thrown instanceof Error ? thrown.message : String(thrown)
  switch (code) {
    case 'NOPERM':
      return failure('RedisPermissionDenied', { detail: `SELECT ${database} at ${address}: ${detail} (grant +select)` }, thrown)
    case 'ERR': {
      const advice =
        'name a database that it has: 0 to one less than `databases` in its configuration, 16 by default; only 0 behind many proxies'
      return failure('RedisUnfit', { address, detail: `SELECT refuses database ${database}: ${detail}`, advice }, thrown)
    }
    default:
      return redisFailure(thrown, address)
  }
}

/**
 * ioredis keeps the commands that were in flight when a connection was lost, and sends them again when the next connection is
 * ready. If the server refuses the set-up of that connection, it never becomes ready, and ioredis keeps the commands for ever.
 */
function failUnfulfilled(connection: Redis, error: Error): void {
  const kept: unknown = Reflect.get(connection, 'prevCommandQueue')
  if (!isQueue(kept)) return
  for (let item = kept.shift(); item !== undefined; item = kept.shift()) item.command.reject(error)
}

interface CommandQueue {
  shift(): { readonly command: { reject(error: Error): void } } | undefined
}

function isQueue(value: unknown): value is CommandQueue {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'shift') === 'function'
}
