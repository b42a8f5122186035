/**
 * The load of a trial: the demo's requests, valid, repeated and broken, added to the stream at a steady pace. While Redis is away
 * the same entries are tried again. An entry whose reply was lost is then in the stream twice, which its key makes harmless.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { createLoad } from '../../local/demo/load.ts'
import { keyHash } from '../../redis/payload/idempotency.ts'

interface Produced {
  /** Hash of each valid key that the stream accepted. */
  readonly keys: ReadonlySet<string>
  /** Entries added that no consumer may forward. */
  readonly broken: number
}

interface Producer {
  /** Adds no more; resolves with the accepted entries. */
  stop(): Promise<Produced>
}

const tickMs = 20
const retryMs = 100

export function startProducer(redis: Redis, stream: string, seed: number, perSecond: number): Producer {
  const load = createLoad(seed)
  const keys = new Set<string>()
  const stopping = new AbortController()
  let broken = 0

  const produce = async () => {
    const begun = performance.now()
    for (let offered = 0; !stopping.signal.aborted; await sleep(tickMs)) {
      const due = Math.floor(((performance.now() - begun) * perSecond) / 1_000)
      // After an outage the pace goes on. Missed entries come at once, as from real clients.
      for (; offered < due && !stopping.signal.aborted; offered++) {
        const offer = load.next(Date.now())
        const fields = offer.kind === 'Request' ? { ...offer.request } : offer.fields
        await persistently(
          redis,
          stream,
          Object.entries(fields).flatMap(([name, value]) => [name, String(value)]),
        )
        if (offer.kind === 'Request') keys.add(keyHash([offer.request.request_hash]))
        else broken += 1
      }
    }
  }
  const producing = produce()

  return {
    async stop() {
      stopping.abort()
      await producing
      return { keys, broken }
    },
  }
}

async function persistently(redis: Redis, stream: string, fields: readonly string[]): Promise<void> {
  for (;;) {
    try {
      await redis.xadd(stream, '*', ...fields)
      return
    } catch {
      // The trial's own faults cause all failures here: the entry is offered again.
      await sleep(retryMs)
    }
  }
}
