/** The log of a process: one JSON object per line, with ISO times and levels by name. Every process writes the same form. */
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'

/** @param destination standard output by default */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}
