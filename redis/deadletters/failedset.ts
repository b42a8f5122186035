/**
 * Selects the failed jobs for one round of the sweep. A queue may keep a hundred thousand of them for a week. Most belong to other
 * programs or are recorded already. If every consumer read all of them every few seconds, Redis would do little else.
 *
 * BullMQ scores the set by `finishedOn`. So a round reads in pages from a watermark on, and moves it once all below is recorded. Redis
 * keeps the watermark beside the ledger, so a restarted consumer goes on there. A job that fails again after a retry or a replay gets a
 * new score, and is found again.
 *
 * Scores come from the clocks of workers, which differ. So the watermark never passes the server's own time, and a round begins a minute
 * before the watermark. A worker with a worse clock may add below that. Each round therefore also reads the next few hundred of the
 * whole set, in turn. Such a job is found later, but found.
 */
import { type RedisConnection, rethrowOn } from '../connect/connection.ts'
import { nodeOf } from '../connect/node.ts'

interface FailedSet {
  /** Passes on what is to be looked at now; the same id perhaps twice. An error of `handle` ends the round, the watermark unmoved. */
  round(handle: (id: string) => Promise<void>): Promise<void>
}

interface FailedSetParts {
  /** The queue's Redis, and the key of its failed set. */
  readonly queue: RedisConnection
  readonly key: string
  /** The prefix of the ids of our jobs. */
  readonly idPrefix: string
  /** Where the watermark is kept: field `sweptTo` of the stats. */
  readonly stream: RedisConnection
  readonly stats: string
}

/** Ids read at a time, and looked at per round of the whole set. */
const pageSize = 500
const pagesPerRound = 10
/** How much worker clocks may differ without a job being found late. */
const overlapMs = 60_000
const field = 'sweptTo'

export function createFailedSet({ queue, key, idPrefix, stream, stats }: FailedSetParts): FailedSet {
  /** Where a round that was cut short goes on. */
  let resumeAt: number | undefined
  let cursor = '0'
  const onStream = rethrowOn(stream)

  const pass = async (ids: readonly string[], handle: (id: string) => Promise<void>) => {
    for (const id of ids) if (id.startsWith(idPrefix)) await handle(id)
  }

  const newest = async (handle: (id: string) => Promise<void>) => {
    const sweptTo = Number((await stream.hget(stats, field).catch(onStream)) ?? 0)
    const [seconds] = await (await nodeOf(queue, key)).time()
    let from = resumeAt ?? Math.max(0, sweptTo - overlapMs)
    let size = pageSize
    let reached = from
    resumeAt = undefined
    for (let page = 0; page < pagesPerRound; page++) {
      const rows = await queue.zrange(key, String(from), '+inf', 'BYSCORE', 'LIMIT', 0, size, 'WITHSCORES')
      const ids = rows.filter((_, index) => index % 2 === 0)
      await pass(ids, handle)
      reached = Math.max(from, Number(rows.at(-1) ?? from))
      resumeAt = ids.length < size ? undefined : reached
      if (resumeAt === undefined) break
      // A page that ends at the score it began with says nothing of what else has that score.
      size = reached === from ? size * 2 : pageSize
      from = reached
    }
    const known = Math.min(reached, Number(seconds) * 1_000)
    if (known > sweptTo) await stream.hset(stats, { [field]: String(known) }).catch(onStream)
  }

  const next = async (handle: (id: string) => Promise<void>) => {
    const [following, members] = await queue.zscan(key, cursor, 'MATCH', `${idPrefix}*`, 'COUNT', pageSize)
    await pass(
      members.filter((_, index) => index % 2 === 0),
      handle,
    )
    cursor = following
  }

  return {
    async round(handle) {
      await newest(handle)
      await next(handle)
    },
  }
}
