/** A process behind the wall, as it has its parent: messages, and a sign of life. It ends with its parent. */
import type { Beat } from './child.ts'

interface Parent<From> {
  send(message: From): void
}

const beatEveryMs = 500

/** @param onClose the parent is gone or wants this process to end, which it does when that has resolved */
export function connectToParent<To, From>(onMessage: (message: To) => void, onClose: () => Promise<void>): Parent<From> {
  const send = (message: From | Beat) => {
    if (process.connected) process.send?.(message, ignoreLost)
  }
  // Not only now and then: what stops it is what the parent must notice.
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
  // A stop of the whole group is the parent's to carry out.
  process.on('SIGINT', ignoreStop)
  process.on('SIGTERM', ignoreStop)
  return { send }
}

/** A parent that is gone is told of by `disconnect`. */
function ignoreLost() {}
function ignoreStop() {}
