/** The parent, from the side of a process behind the wall: messages, and a sign of life. The process ends with its parent. */
import { printable } from '../../api/printable.ts'
import type { Beat } from './child.ts'

interface Parent<From> {
  send(message: From): void
}

const beatEveryMs = 500
/** Shorter than what the parent keeps of the output. */
const longestCause = 1_500

/** @param onClose called when the parent is gone or wants this process to end, which it does when `onClose` has resolved */
export function connectToParent<To, From>(onMessage: (message: To) => void, onClose: () => Promise<void>): Parent<From> {
  const send = (message: From | Beat) => {
    if (process.connected) process.send?.(message, ignoreLost)
  }
  // A timer sends beats: work that blocks this process blocks them, too, and the parent notices.
  const beat = () => send({ kind: 'Beat', residentBytes: process.memoryUsage.rss() })
  const timer = setInterval(beat, beatEveryMs)
  beat()
  process.on('message', onMessage)
  process.once('disconnect', () => {
    clearInterval(timer)
    onClose().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  })
  process.setUncaughtExceptionCaptureCallback(endWith)
  // A stop of the whole process group is the parent's to carry out.
  process.on('SIGINT', ignoreStop)
  process.on('SIGTERM', ignoreStop)
  return { send }
}

/**
 * Node would also print the properties of the exception: ioredis attaches the command with its arguments, which may be a password or a
 * payload. The stack holds the message and the place in the code.
 */
function endWith(thrown: unknown): void {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : 'something other than an Error was thrown'
  process.stderr.write(`${printable(text, longestCause)}\n`)
  process.exit(1)
}

/** The event `disconnect` reports that the parent is gone. */
function ignoreLost() {}
function ignoreStop() {}
