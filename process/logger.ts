/** The log of a process: one JSON object per line, with ISO times and levels by name. Every process writes the same form. */
import { type DestinationStream, type Logger, pino } from 'pino'

/**
 * Standard output. Each line is written at once: pino's default buffers, and what it flushes when the process exits can
 * overtake a write under way, so that the last lines stand in the wrong order.
 */
export const standardOutput = (): DestinationStream => pino.destination({ sync: true })

export function createLogger(level: string, destination: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}
