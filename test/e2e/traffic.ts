/**
 * The traffic of a run, and its account. In: the demo's load of new, repeated and broken requests, added to the stream as any
 * program would. Out: the queue of BullMQ. No worker takes jobs, so the queue itself is the ledger. A request that is not there
 * must still be in the stream, and the account names in which part. A request that is in neither is lost.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { createLoad } from '../../local/demo/load.ts'

export interface Ledger {
  readonly entries: number
  /** Distinct valid requests added. Each of them counts in one of the next four numbers: the first that applies. */
  readonly requests: number
  readonly enqueued: number
  /** In the stream, and no consumer has read it. */
  readonly undelivered: number
  /** In the stream, read, and not acknowledged. */
  readonly pending: number
  readonly lost: number
  readonly jobs: number
  readonly doubled: number
  readonly strangers: number
}

export interface Traffic {
  /** As fast as Redis takes them. */
  burst(entries: number): Promise<void>
  /** At this pace until `stop()`. */
  flow(perSecond: number): { stop(): Promise<void> }
  jobs(): Promise<number>
  ledger(): Promise<Ledger>
}

export interface Place {
  readonly stream: string
  readonly group: string
  readonly queue: string
}

const chunk = 200
const page = 1_000

/** One sentence: where every request is. */
export function whereabouts({ entries, requests, enqueued, undelivered, pending, lost, jobs }: Ledger): string {
  return (
    `${entries} entries added, ${requests} distinct valid requests: ${enqueued} in the queue (${jobs} jobs), ` +
    `${undelivered} undelivered and ${pending} pending in the stream, ${lost} nowhere`
  )
}

export function createTraffic(redis: Redis, place: Place, seed: number): Traffic {
  const { stream, queue } = place
  const load = createLoad(seed)
  const wanted = new Set<string>()
  let added = 0

  /** Where the connection breaks amid the answers, the client refuses the rest: that is sent again, as its keys allow. */
  async function send(calls: readonly string[][]): Promise<void> {
    const replies = await redis.pipeline(calls.map((call) => [...call])).exec()
    const refused = (replies ?? []).map(([error]) => error)
    const other = refused.find((error) => error !== null && error.name !== 'AbortError')
    if (other) throw other
    const again = calls.filter((_, index) => refused[index])
    if (again.length > 0) await send(again)
  }

  async function add(count: number): Promise<void> {
    const calls: string[][] = []
    for (let index = 0; index < count; index++) {
      const offer = load.next(Date.now())
      const fields = offer.kind === 'Request' ? offer.request : offer.fields
      if (offer.kind === 'Request') wanted.add(offer.request.request_hash)
      calls.push(['xadd', stream, '*', ...Object.entries(fields).flatMap(([name, value]) => [name, String(value)])])
    }
    await send(calls)
    added += count
  }

  async function burst(entries: number): Promise<void> {
    for (let left = entries; left > 0; left -= chunk) await add(Math.min(left, chunk))
  }

  return {
    burst,
    flow(perSecond) {
      const stopping = new AbortController()
      const running = (async () => {
        while (!stopping.signal.aborted) {
          await add(Math.ceil(perSecond / 10))
          // Aborted while it waits: that is how it is stopped.
          await sleep(100, undefined, { signal: stopping.signal }).catch(() => undefined)
        }
      })()
      // Reported by stop(). Until then there is no listener, and an unhandled rejection would end the process.
      running.catch(() => undefined)
      return {
        async stop() {
          stopping.abort()
          await running
        },
      }
    },
    jobs: async () => await redis.llen(`bull:${queue}:wait`),
    async ledger() {
      // The stream first: what moves on meanwhile is found in the queue, and nothing is missed between the two.
      const undelivered = await undeliveredHashes(redis, place)
      const pending = await pendingHashes(redis, place)
      const found = await queuedHashes(redis, queue)
      const ledger = { enqueued: 0, undelivered: 0, pending: 0, lost: 0 }
      for (const hash of wanted) {
        if (found.has(hash)) ledger.enqueued++
        else if (undelivered.has(hash)) ledger.undelivered++
        else if (pending.has(hash)) ledger.pending++
        else ledger.lost++
      }
      const jobs = [...found.values()].reduce((sum, count) => sum + count, 0)
      const strangers = [...found.keys()].filter((hash) => !wanted.has(hash)).length
      return { entries: added, requests: wanted.size, ...ledger, jobs, doubled: jobs - found.size, strangers }
    },
  }
}

type Entry = readonly [id: string, fields: readonly string[]]

function hashOf([, fields]: Entry): string {
  for (let index = 0; index + 1 < fields.length; index += 2)
    if (fields[index] === 'request_hash') return String(fields[index + 1])
  return ''
}

async function undeliveredHashes(redis: Redis, { stream, group }: Place): Promise<Set<string>> {
  const groups = (await redis.xinfo('GROUPS', stream)) as unknown[][]
  const ours = groups.find((each) => each[each.indexOf('name') + 1] === group)
  const hashes = new Set<string>()
  let from = ours === undefined ? '-' : `(${String(ours[ours.indexOf('last-delivered-id') + 1])}`
  for (;;) {
    const entries = await redis.xrange(stream, from, '+', 'COUNT', page)
    for (const entry of entries) hashes.add(hashOf(entry))
    const last = entries.at(-1)
    if (last === undefined) return hashes
    from = `(${last[0]}`
  }
}

async function pendingHashes(redis: Redis, { stream, group }: Place): Promise<Set<string>> {
  const hashes = new Set<string>()
  let from = '-'
  for (;;) {
    const rows = (await redis.xpending(stream, group, from, '+', page)) as [id: string][]
    const calls = redis.pipeline()
    for (const [id] of rows) calls.xrange(stream, id, id)
    for (const [, entries] of (await calls.exec()) ?? []) for (const entry of entries as Entry[]) hashes.add(hashOf(entry))
    const last = rows.at(-1)
    if (last === undefined) return hashes
    from = `(${last[0]}`
  }
}

/** Hash of the request → how many jobs ask for it, in whatever state they are. */
async function queuedHashes(redis: Redis, queue: string): Promise<Map<string, number>> {
  const key = (state: string) => `bull:${queue}:${state}`
  const lists = await Promise.all(['wait', 'active', 'paused'].map(async (state) => await redis.lrange(key(state), 0, -1)))
  const sets = await Promise.all(
    ['delayed', 'prioritized', 'completed', 'failed'].map(async (state) => await redis.zrange(key(state), '0', '-1')),
  )
  const ids = [...lists, ...sets].flat()
  const found = new Map<string, number>()
  for (let from = 0; from < ids.length; from += page) {
    const calls = redis.pipeline()
    for (const id of ids.slice(from, from + page)) calls.hget(key(id), 'data')
    for (const [, data] of (await calls.exec()) ?? []) {
      const hash = String((JSON.parse(String(data)) as { request_hash?: unknown } | null)?.request_hash)
      found.set(hash, (found.get(hash) ?? 0) + 1)
    }
  }
  return found
}
