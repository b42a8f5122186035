/**
 * The log of a process: one JSON object per line, with ISO times and levels by name. Every process writes the same form.
 *
 * JSON escapes line breaks and control characters below U+0020, but a terminal obeys more. So each line passes through `printableJson`
 * before it is written, and no text in it is longer than `mostMessage`.
 */
import { type DestinationStream, type Logger, pino } from 'pino'
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import { mostMessage, printable, printableJson } from '../api/printable.ts'

/**
 * Standard output. Each line is written at once. pino's default buffers lines, and its flush at the exit of the process can
 * overtake a write under way. The last lines would then stand in the wrong order.
 */
export const standardOutput = (): DestinationStream => printableDestination(pino.destination({ sync: true }))

/** A destination for JSON lines. Every character that a terminal obeys is escaped. */
export const printableDestination = (destination: DestinationStream): DestinationStream => ({
  write: (line) => destination.write(printableJson(line)),
})

export function createLogger(level: string, destination: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: bounded },
      serializers: { err: errorFields },
    },
    printableDestination(destination),
  )
}

/** Names and replies stand whole in fields, unless they are too long to read. Their escapes count: a character may become twelve. */
function bounded(fields: Record<string, unknown>): Record<string, unknown> {
  const isLong = (value: unknown): value is string =>
    typeof value === 'string' &&
    (value.length > mostMessage || (value.length > mostMessage / longestEscape && printableJson(value).length > mostMessage))
  if (!Object.values(fields).some(isLong)) return fields
  const cut = (value: unknown) => (isLong(value) ? printable(value, mostMessage) : value)
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, cut(value)]))
}

/**
 * An error without the properties of foreign ones: a reply error of ioredis holds the command's arguments, which may be payload or a
 * password. The stack of a cause helps where a bug is reported.
 */
function errorFields(thrown: unknown): object {
  const error = asFailure(thrown)
  const { cause } = error
  const stack = error.code === 'Internal' && cause instanceof Error ? cause.stack : error.stack
  return {
    type: cause instanceof Error && error.code === 'Internal' ? cause.name : error.name,
    code: error.code,
    message: error.message,
    remedy: error.remedy,
    stack: framesOf(stack ?? '', error),
  }
}

/** Characters of `\u001b`, for each of a text's UTF-16 units. */
const longestEscape = 6
const mostFrames = 20

/** The frames alone: a stack begins with the message, which may be a foreign error's own. */
function framesOf(stack: string, error: StreamPipelineError): string {
  const frames = stack.split('\n').filter((line) => /^ {4}at /.test(line))
  const lines = [`${error.name}: ${error.message}`, ...frames.slice(0, mostFrames)]
  return lines.map((line) => printable(line, mostMessage)).join('\n')
}
