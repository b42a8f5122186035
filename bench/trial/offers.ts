/** Entries for the trial of `up`: most of a new key, some of one used before, a few that must not be forwarded. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'

export interface Offers {
  /** Entries that the stream accepted. */
  readonly accepted: number
  /** Entries whose reply was lost: they may be there. */
  readonly unknown: number
  /** Adds no more. Idempotent. */
  stop(): Promise<void>
}

const everyMs = 10
let numbered = 0

/** @param keys where accepted keys are added */
export function startOffers(client: Redis, stream: string, keys: Set<string>, random: () => number): Offers {
  const stopping = new AbortController()
  const own: string[] = []
  let [accepted, unknown] = [0, 0]

  const offer = async () => {
    const chance = random()
    const again = own[Math.floor(random() * own.length)]
    const key = chance < 0.1 && again !== undefined ? again : `key-${numbered++}`
    const broken = chance > 0.96
    try {
      await client.xadd(stream, '*', broken ? 'nothing' : 'job_id', key)
      accepted++
      if (broken) return
      own.push(key)
      keys.add(key)
    } catch {
      // Redis is killed on purpose.
      unknown++
    }
  }
  const offering = (async () => {
    for (; !stopping.signal.aborted; await sleep(everyMs)) await offer()
  })()

  return {
    get accepted() {
      return accepted
    },
    get unknown() {
      return unknown
    },
    async stop() {
      stopping.abort()
      await offering
    },
  }
}
