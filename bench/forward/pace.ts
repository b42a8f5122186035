/** An even load: entries at a fixed rate, from the bench's own process. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { entryFields, names, type PayloadKind } from './workload.ts'

export interface Pace {
  readonly payload: PayloadKind
  readonly perSecond: number
  readonly forMs: number
}

interface PacedEntry {
  readonly id: string
  /** The value of the idempotency key. */
  readonly key: string
}

export const entriesOf = ({ perSecond, forMs }: Pick<Pace, 'perSecond' | 'forMs'>) => Math.floor((perSecond * forMs) / 1_000)

/** Adds entries evenly, from the payload `first` on. A late tick adds all entries that are due by then. */
export async function addPaced(redis: Redis, pace: Pace, first: number): Promise<readonly PacedEntry[]> {
  const total = entriesOf(pace)
  const fields = Array.from({ length: total }, (_, index) => entryFields(pace.payload, first + index))
  const begun = performance.now()
  const sent: Promise<unknown>[] = []
  for (let next = 0; next < total; ) {
    const due = Math.min(total, Math.ceil(((performance.now() - begun) * pace.perSecond) / 1_000))
    if (due > next) {
      const pipeline = redis.pipeline()
      for (; next < due; next++) pipeline.xadd(names.stream, '*', ...(fields[next] ?? []))
      sent.push(pipeline.exec())
    }
    await sleep(1)
  }
  const replies = (await Promise.all(sent)).flat() as [unknown, string][]
  return replies.map(([, id], index) => ({ id, key: fields[index]?.[3] ?? '' }))
}
