/** The wakers of all pipelines that sleep: one for each Redis at which any do, in a cluster one for each slot. */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { splitKey } from '../kubernetes/objects.ts'
import type { RedisLease } from './connections.ts'
import { type IdlePipeline, readKeyOf } from './idlepipelines.ts'
import { createWaker, type Waker } from './waker.ts'

export interface Wakers {
  /** It was found asleep; to be said after each look that finds it so. */
  sleeps(key: string, lease: RedisLease, idlePipeline: IdlePipeline): void
  awake(key: string): void
  /** Why an entry does not wake it at once. */
  refusal(key: string): StreamPipelineError | undefined
  /** Idempotent. */
  close(): Promise<void>
}

interface WakersParts {
  readonly clock: Clock
  /** An entry came that is new to it. */
  readonly onWake: (key: string) => void
  /** Most reads of one namespace. */
  readonly most?: number
}

/** Blocking reads of one namespace, each with a connection of its own. */
const mostOfNamespace = 256

export function createWakers({ clock, onWake, most = mostOfNamespace }: WakersParts): Wakers {
  const reads = new Map<string, { readonly waker: Waker; readonly namespace: string }>()
  /** The key of the read that each pipeline is in. */
  const readKeys = new Map<string, string>()
  /** Pipelines beyond the limit of their namespace. */
  const refused = new Map<string, StreamPipelineError>()
  const closing = new Set<Promise<void>>()

  /** The reads that this namespace's pipelines began. Another namespace may share one of them. */
  function isFull(namespace: string): boolean {
    let count = 0
    for (const read of reads.values()) if (read.namespace === namespace) count += 1
    return count >= most
  }

  function awake(key: string): void {
    refused.delete(key)
    const readKey = readKeys.get(key)
    if (readKey === undefined) return
    readKeys.delete(key)
    const waker = reads.get(readKey)?.waker
    waker?.unset(key)
    if (waker?.isEmpty !== true || [...readKeys.values()].includes(readKey)) return
    reads.delete(readKey)
    const closed = waker.close().finally(() => closing.delete(closed))
    closing.add(closed)
  }

  return {
    sleeps(key, lease, idlePipeline) {
      const readKey = readKeyOf(lease.id, lease.address.kind, idlePipeline.stream)
      if (readKeys.get(key) !== readKey) awake(key)
      const { namespace } = splitKey(key)
      const held = reads.get(readKey)
      if (held === undefined && isFull(namespace)) {
        refused.set(key, failure('ConnectionLimit', { namespace, limit: String(most) }))
        return
      }
      refused.delete(key)
      readKeys.set(key, readKey)
      const waker = held?.waker ?? createWaker({ clock, lease, onWake })
      if (held === undefined) reads.set(readKey, { waker, namespace })
      waker.set(key, idlePipeline)
    },
    awake,
    refusal(key) {
      const readKey = readKeys.get(key)
      return readKey === undefined ? refused.get(key) : reads.get(readKey)?.waker.refusal(key)
    },
    async close() {
      const all = [...reads.values()]
      reads.clear()
      readKeys.clear()
      refused.clear()
      await Promise.all([...all.map(({ waker }) => waker.close()), ...closing])
    },
  }
}
