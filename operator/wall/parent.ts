/** The parent, from the side of a process behind the wall: messages, and a sign of life. The process ends with its parent. */
import type { Beat } from './child.ts'

interface Parent<From> {
  send(message: From): void
}

const beatEveryMs = 500

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
  // A stop of the whole process group is the parent's to carry out.
  process.on('SIGINT', ignoreStop)
  process.on('SIGTERM', ignoreStop)
  return { send }
}

/** The event `disconnect` reports that the parent is gone. */
function ignoreLost() {}
function ignoreStop() {}
