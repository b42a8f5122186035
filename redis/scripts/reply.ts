/** Reads the replies of scripts. A value of another form is an error, never a number that is none. */
import { failure } from '../../api/errors.ts'

function unexpected(script: string, wanted: string, value: unknown) {
  const detail = `the script ${script} answered with ${value === null ? 'nothing' : typeof value} in place of ${wanted}`
  return failure('RedisCommandFailed', { command: script, detail })
}

export function list(value: unknown, script: string): readonly unknown[] {
  if (!Array.isArray(value)) throw unexpected(script, 'a list', value)
  return value
}

export function text(value: unknown, script: string): string {
  if (typeof value === 'string') return value
  if (Buffer.isBuffer(value)) return value.toString()
  throw unexpected(script, 'a text', value)
}

/** Scripts write numbers beyond 14 digits as text: Lua's own conversion would round them. */
export function integer(value: unknown, script: string): number {
  const number = typeof value === 'number' ? value : Number(text(value, script) || Number.NaN)
  if (!Number.isFinite(number)) throw unexpected(script, 'a number', value)
  return number
}

export function flag(value: unknown, script: string): boolean {
  return integer(value, script) === 1
}

export function maybeInteger(value: unknown, script: string): number | undefined {
  return value === null ? undefined : integer(value, script)
}

export function texts(value: unknown, script: string): readonly string[] {
  return list(value, script).map((item) => text(item, script))
}

export function integers(value: unknown, script: string): readonly number[] {
  return list(value, script).map((item) => integer(item, script))
}

export function buffers(value: unknown, script: string): readonly Buffer[] {
  return list(value, script).map((item) => {
    if (!Buffer.isBuffer(item)) throw unexpected(script, 'bytes', item)
    return item
  })
}
