/** Lines of the log about retention: each failure once, not at each round. */
import type { Logger } from 'pino'
import { redeliverCommand } from '../redis/stream/ledger.ts'
import type { RetentionReport } from '../redis/stream/retention.ts'

/** An entry that holds up retention for less time is part of a backlog that consumers are working off. */
const pinnedForMs = 60_000
/** Redis takes 0.25 ms to find the first entry behind this many deleted ones of a node. It looks several times a round. */
const largeNode = 5_000

/** A line about unaccounted or undecided entries also names a command. Redis then delivers those still in the stream again. */
export function createRetentionLog(log: Logger, stream: string, group: string) {
  let pinned = ''
  let missing = 0
  let largeLogged = false
  return ({ settled, cut, pin, nodeEntries, unaccounted, undecided, missingFrom }: RetentionReport) => {
    if (settled > 0) log.debug({ entries: settled }, 'settled entries trimmed')
    if (cut > 0) log.warn({ entries: cut }, 'entries over source.retention.maxEntries trimmed, read or not')
    if (pin !== undefined && pin.forMs >= pinnedForMs) {
      if (pinned !== pin.id) log.warn({ ...pin }, 'retention waits for an entry; it and later ones stay in the stream')
      pinned = pin.id
    } else pinned = ''
    if (unaccounted + undecided > missing) {
      const command = redeliverCommand(stream, group, missingFrom)
      const found = unaccounted > 0 ? 'others took entries from the group' : 'entries were trimmed unread, or others took them'
      log.warn({ unaccounted, undecided, command }, `${found}; run the command to have those in the stream delivered again`)
    }
    missing = unaccounted + undecided
    if (nodeEntries > largeNode && !largeLogged) {
      const remedy = 'set stream-node-max-entries to 100'
      log.warn({ nodeEntries, remedy }, 'the stream has large nodes; trimming them holds Redis for milliseconds')
      largeLogged = true
    }
  }
}
