/**
 * Where Redis' own errors become the catalogue's. A reply error starts with its code (`READONLY You can't write…`): that word is
 * the protocol, the rest is prose and is only passed on. Everything else that ioredis throws is a connection that is not there.
 */
import { ReplyError } from 'ioredis'
import { asFailure, failure, StreamPipelineError } from '../../api/errors.ts'

/** The code of a Redis error reply (`NOGROUP`, `OOM`, …), or undefined when it isn't one. */
export function replyCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined
  if (thrown instanceof StreamPipelineError) return replyCode(thrown.cause)
  // Its name is that of its class, which a bundler may have renamed. An application's own ioredis has a class of its own.
  if (thrown.name !== 'ReplyError' && !(thrown instanceof ReplyError)) return undefined
  // Proxies word their refusals without one.
  return /^[A-Z][A-Z0-9]*/.exec(thrown.message)?.[0] ?? 'ERR'
}

const tlsCodes = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO)/

/**
 * @param address the server's name in messages, `host:port`
 * @param lastSocketError the connection's last `error` event; it holds the reason where a command reports only that it was dropped
 */
export function redisFailure(thrown: unknown, address: string, lastSocketError?: unknown): StreamPipelineError {
  if (thrown instanceof StreamPipelineError) return thrown
  if (!(thrown instanceof Error)) return asFailure(thrown)
  const first = firstOfTransaction(thrown)
  const code = replyCode(first)
  if (code !== undefined) return replyFailure(code, first, address)
  if (lastSocketError instanceof StreamPipelineError) return lastSocketError
  const reason = lastSocketError instanceof Error ? lastSocketError : thrown
  if (replyCode(reason) !== undefined) return redisFailure(reason, address)
  const systemCode = 'code' in reason && typeof reason.code === 'string' ? reason.code : ''
  if (tlsCodes.test(systemCode)) return failure('RedisTlsFailed', { address, detail: reason.message }, thrown)
  return failure('RedisUnreachable', { address, detail: reason.message || systemCode || 'connection closed' }, thrown)
}

/** EXECABORT reports only that an earlier command was refused. ioredis attaches that command's error to it. */
function firstOfTransaction(thrown: Error): Error {
  const previous = 'previousErrors' in thrown && Array.isArray(thrown.previousErrors) ? thrown.previousErrors[0] : undefined
  return previous instanceof Error ? previous : thrown
}

function replyFailure(code: string, thrown: Error, address: string): StreamPipelineError {
  forgetArguments(thrown)
  const detail = withoutArguments(thrown.message)
  switch (code) {
    case 'WRONGPASS':
    case 'NOAUTH':
      return failure('RedisAuthFailed', { address, detail }, thrown)
    case 'NOPERM':
      return failure('RedisPermissionDenied', { detail }, thrown)
    case 'QUEUEHELD':
      return failure('QueueHeld', { detail }, thrown)
    case 'OOM':
      return failure('RedisOutOfMemory', { address, detail }, thrown)
    case 'READONLY':
    case 'LOADING':
    case 'MASTERDOWN':
    case 'CLUSTERDOWN':
    case 'TRYAGAIN':
    case 'MOVED':
    case 'ASK':
    case 'MISCONF':
    case 'NOREPLICAS':
    case 'BUSY':
    case 'UNBLOCKED':
    case 'EXECABORT':
      return failure('RedisNotReady', { address, reply: code, detail }, thrown)
    default:
      if (isUnknownCommand(detail)) {
        const advice = `allow ${commandOf(thrown)}, at the server and at what stands before it; docs/redis.md lists what is needed`
        return failure('RedisUnfit', { address, detail: `it does not have ${commandOf(thrown)}: ${detail}`, advice }, thrown)
      }
      return failure('RedisCommandFailed', { command: commandOf(thrown), detail }, thrown)
  }
}

/**
 * Redis has no code for a missing command, so the text decides. If a server words it otherwise, the failure is RedisCommandFailed,
 * which names the command as well. Code that can do without the command accepts either failure.
 */
function isUnknownCommand(message: string): boolean {
  return /^ERR unknown (command|subcommand)\b/i.test(message)
}

/** A server that does not know a command quotes its arguments: payload, or a password. */
const withoutArguments = (message: string) => message.replace(/,? with args beginning with:.*$/s, '')

/** ioredis attaches the command with its arguments, and Node prints all properties of a cause. Only the command's name is used. */
function forgetArguments(thrown: Error): void {
  if (!('command' in thrown)) return
  const { command } = thrown
  const name = typeof command === 'object' && command !== null && 'name' in command ? command.name : undefined
  Object.defineProperty(thrown, 'command', { value: { name }, configurable: true, writable: true, enumerable: false })
}

/** ioredis attaches the command it sent to the error; its arguments may be payload and are left out. */
function commandOf(thrown: Error): string {
  const command = 'command' in thrown ? thrown.command : undefined
  if (typeof command === 'object' && command !== null && 'name' in command) return String(command.name).toUpperCase()
  return 'a command'
}
