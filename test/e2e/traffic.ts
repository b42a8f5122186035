/**
 * What goes in and what has come out. In: the demo's load of new, repeated and broken requests, added to the stream as any
 * program would. Out: the queue as BullMQ keeps it. No worker takes jobs away, so at the end the queue itself is the ledger.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { createLoad } from '../../local/demo/load.ts'

export interface Ledger {
  readonly entries: number
  /** Distinct valid requests added. */
  readonly requests: number
  readonly jobs: number
  readonly lost: number
  readonly doubled: number
  readonly strangers: number
}

export interface Traffic {
  /** As fast as Redis takes them. */
  burst(entries: number): Promise<void>
  /** At this pace until told to stop. */
  flow(perSecond: number): { stop(): Promise<void> }
  jobs(): Promise<number>
  ledger(): Promise<Ledger>
}

const chunk = 200

export function createTraffic(redis: Redis, { stream, queue }: { stream: string; queue: string }, seed: number): Traffic {
  const load = createLoad(seed)
  const wanted = new Set<string>()
  let added = 0

  async function add(count: number): Promise<void> {
    const calls = redis.pipeline()
    for (let index = 0; index < count; index++) {
      const offer = load.next(Date.now())
      const fields = offer.kind === 'Request' ? offer.request : offer.fields
      if (offer.kind === 'Request') wanted.add(offer.request.request_hash)
      calls.xadd(stream, '*', ...Object.entries(fields).flatMap(([name, value]) => [name, String(value)]))
    }
    const replies = await calls.exec()
    const refused = replies?.find(([error]) => error !== null)
    if (refused?.[0]) throw refused[0]
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
      return {
        async stop() {
          stopping.abort()
          await running
        },
      }
    },
    jobs: async () => await redis.llen(`bull:${queue}:wait`),
    async ledger() {
      const ids = await redis.lrange(`bull:${queue}:wait`, 0, -1)
      const found = new Map<string, number>()
      for (let from = 0; from < ids.length; from += 1_000) {
        const calls = redis.pipeline()
        for (const id of ids.slice(from, from + 1_000)) calls.hget(`bull:${queue}:${id}`, 'data')
        for (const [, data] of (await calls.exec()) ?? []) {
          const hash = String((JSON.parse(String(data)) as { request_hash?: unknown } | null)?.request_hash)
          found.set(hash, (found.get(hash) ?? 0) + 1)
        }
      }
      return {
        entries: added,
        requests: wanted.size,
        jobs: ids.length,
        lost: [...wanted].filter((hash) => !found.has(hash)).length,
        doubled: [...found.values()].reduce((sum, count) => sum + count - 1, 0),
        strangers: [...found.keys()].filter((hash) => !wanted.has(hash)).length,
      }
    },
  }
}
