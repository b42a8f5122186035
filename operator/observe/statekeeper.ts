/**
 * Writes the remembered state of scaling to the pipeline's Redis: after each look whose writes were accepted, and once more at the
 * end. So the next leader decides on the last look.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { endsWithin } from '../../process/patience.ts'
import { open } from '../../redis/connect/connection.ts'
import { keySpace } from '../../redis/keys.ts'
import type { RedisLease } from './connections.ts'
import { refusalOf } from './diagnosis.ts'
import type { ScalingMemory, Shelf } from './scalingmemory.ts'

interface StateKeeper {
  /** Returns the reason why the state could not be written. */
  keep(pipeline: CompiledPipeline, lease: RedisLease): Promise<StreamPipelineError | undefined>
  /** The last look found that writes are not taken. */
  lose(): void
  keepAtLast(): Promise<void>
}

/** At the end a Redis that does not answer is not waited for. */
const lastWriteMs = 1_000

export function shelfOf({ source }: CompiledPipeline, { connection, id }: RedisLease): Shelf {
  const { stream, group } = source
  return { connection, keys: keySpace(stream, group), id: JSON.stringify([id, stream, group]) }
}

export function createStateKeeper(clock: Pick<Clock, 'after'>, memory: Pick<ScalingMemory, 'write'>): StateKeeper {
  /** Where the last look found that writes are taken. */
  let kept: { readonly lease: RedisLease; readonly pipeline: CompiledPipeline } | undefined
  return {
    async keep(pipeline, lease) {
      const refusal = await refusalOf(() => memory.write(shelfOf(pipeline, lease)), lease.connection)
      kept = refusal === undefined ? { pipeline, lease } : undefined
      return refusal
    },
    lose() {
      kept = undefined
    },
    /** The connection may have been closed since the last look, so this is a use of its own. */
    async keepAtLast() {
      if (kept === undefined) return
      const { lease, pipeline } = kept
      const late = new AbortController()
      const write = async () => {
        const leave = await lease.enter(late.signal)
        if (leave === undefined) return
        await refusalOf(async () => {
          await open(lease.connection)
          await memory.write(shelfOf(pipeline, lease), true)
        }, lease.connection)
        leave()
      }
      try {
        await endsWithin(write(), lastWriteMs, clock.after)
      } finally {
        late.abort()
      }
    },
  }
}
