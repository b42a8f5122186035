import { exitCodes } from '../api/exitcodes.ts'

/** SIGTERM and SIGINT as one AbortSignal. A second signal ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController()
  const stop = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
    controller.abort(name)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  return controller.signal
}

/** Aborted when standard input closes: the parent that held its other end is gone. The process ends `graceMs` later in any case. */
export function endOfInput(graceMs: number): AbortSignal {
  const controller = new AbortController()
  const ended = () => {
    if (controller.signal.aborted) return
    controller.abort('stdin')
    setTimeout(() => process.exit(exitCodes.unavailable), graceMs)
  }
  process.stdin.on('end', ended).on('close', ended).on('error', ended)
  process.stdin.resume()
  return controller.signal
}
