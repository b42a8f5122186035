/**
 * Replays an entry of more fields than Lua passes to one command (some 4,000). Its bytes come here, and go back as arguments of an
 * XADD of our own. It stands in one MULTI between two scripts. The first notes the stream's last id. The second deletes the record
 * only where the XADD has moved that id, since a MULTI does not stop at a refused command.
 *
 * Both scripts write `replays`, which is watched, so of two replays at once one is discarded and looks again. WATCH belongs to a
 * connection; hence one of its own.
 */
import { failure } from '../../api/errors.ts'
import { close, failureOn, labelOf, type RedisConnection } from '../connect/connection.ts'
import { nodeOf } from '../connect/node.ts'
import { decodeDeadLetter } from '../record.ts'
import { beginLargeReplay, endLargeReplay, lookAtReplay, restoreDeadLetter } from '../scripts/generated.ts'
import { list, text } from '../scripts/reply.ts'

interface ReplayKeys {
  readonly stream: string
  readonly deadLetters: string
  readonly replays: string
}

const mostTries = 10

/** Returns the new entry's id, or the outcome of lookAtReplay.lua that leaves nothing to replay. Throws catalogued errors. */
export async function restoreLarge(stream: RedisConnection, keys: ReplayKeys, id: string): Promise<string> {
  const own = (await nodeOf(stream, keys.stream)).duplicate()
  own.on('error', ignoreConnectionError)
  try {
    for (let tries = 0; tries < mostTries; tries++) {
      await own.watch(keys.replays)
      const { outcome } = await lookAtReplay(own, keys, { id })
      // Another replay has added the entry, and could not delete the record.
      const answer = outcome === 'again' ? (await restoreDeadLetter(own, keys, { id })).outcome : outcome
      if (answer !== 'large') return answer
      const added = await restoreOnce(own, keys, id)
      if (added !== undefined) return added
    }
  } catch (thrown) {
    throw failureOn(stream, thrown)
  } finally {
    await close(own)
  }
  const detail = `record ${id} was being replayed by others ${mostTries} times`
  throw failure('RedisNotReady', { address: labelOf(stream), reply: 'EXEC', detail })
}

/** The commands report its errors. */
function ignoreConnectionError() {}

/** Undefined where another replay came in between. */
async function restoreOnce(own: RedisConnection, keys: ReplayKeys, id: string): Promise<string | undefined> {
  const [found] = await own.xrangeBuffer(keys.deadLetters, id, id)
  if (found === undefined) return 'gone'
  const record = decodeDeadLetter(id, found[1])
  const entry: (string | Buffer)[] = []
  for (let at = 0; at + 1 < record.payload.length; at += 2) {
    const [name, value] = record.payload.slice(at, at + 2)
    if (name !== undefined && value !== undefined && !name.equals(redrives)) entry.push(name, value)
  }
  const multi = own.multi()
  beginLargeReplay(multi, keys, { id })
  multi.call('XADD', [keys.stream, '*', ...entry, redrives, String(record.redrives + 1)])
  endLargeReplay(multi, keys, { id })
  const replies = await multi.exec()
  if (replies === null) return undefined
  const refused = replies.find(([error]) => error !== null)?.[0]
  if (refused != null) throw refused
  return text(list(replies.at(-1)?.[1], 'endLargeReplay')[0], 'endLargeReplay')
}

const redrives = Buffer.from('sp-redrives')
