/**
 * Tries at intervals whether entries could be settled at a pipeline's Redis: the servers fit, the stream is this pipeline's, the
 * user has the rights, the keys have the right types. The mode is written over again: that heals a Redis that was emptied, and is
 * the truest test of whether writes are taken.
 *
 * A trial without a refusal holds for `checkEveryMs`, or until the servers, the generation or the mode change. A refusal does not hold: the
 * next look tries again.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import type { RedisConnection } from '../../redis/connect/connection.ts'
import { keySpace } from '../../redis/keys.ts'
import { checkKeys } from '../../redis/preflight/backends.ts'
import { checkRights } from '../../redis/preflight/permissioncheck.ts'
import { type Claimant, claim } from '../../redis/stream/claim.ts'
import type { RedisLease } from './connections.ts'
import { refusalOf } from './diagnosis.ts'

/** How pipelines claim their streams (redis/stream/claim.ts). */
export interface Claims {
  /** Distinguishes this operator's pipelines from those of other clusters. */
  readonly cluster: string
  readonly isGone: (holder: Claimant) => Promise<boolean>
}

interface TrialParts {
  readonly clock: Pick<Clock, 'now'>
  readonly checkEveryMs: number
  /** Absent: no stream is claimed. */
  readonly claims: Claims | undefined
}

/** Returns the reason why entries could not be settled; undefined: they could. */
export type Try = (
  pipeline: CompiledPipeline,
  mode: 'Stream' | 'Direct' | undefined,
  stream: RedisLease,
  queue: RedisLease,
) => Promise<StreamPipelineError | undefined>

export function createTrial({ clock, checkEveryMs, claims }: TrialParts): Try {
  /** The last trial without a refusal. */
  let passed: { readonly id: string; readonly atMs: number } | undefined
  return async (pipeline, mode, stream, queue) => {
    const { connection } = stream
    // A failover changes the role of a server within seconds.
    const unfit = await refusalOf(async () => {
      await stream.serverFit()
      if (queue !== stream) await queue.serverFit()
    }, connection)
    if (unfit !== undefined) {
      passed = undefined
      return unfit
    }
    const id = JSON.stringify([stream.id, queue.id, pipeline.generation, mode])
    if (passed?.id === id && clock.now() - passed.atMs < checkEveryMs) return undefined
    const refusal = await refusalOf(async () => {
      await claimStream(pipeline, connection, claims)
      if (mode !== undefined) await connection.set(keySpace(pipeline.source.stream, pipeline.source.group).mode, mode)
      await checkRights(pipeline, connection, queue.connection)
      await checkKeys(pipeline, connection, queue.connection)
    }, connection)
    passed = refusal === undefined ? { id, atMs: clock.now() } : undefined
    return refusal
  }
}

/** Throws StreamClaimed if another pipeline holds the stream. The mode is then not written to it. */
async function claimStream(
  { uid, namespace, name, source }: CompiledPipeline,
  connection: RedisConnection,
  claims: Claims | undefined,
): Promise<void> {
  if (claims === undefined || uid === '') return
  const { cluster, isGone } = claims
  const { stream, group } = source
  const claimant = { cluster, namespace, name, uid }
  const refused = await claim(connection, keySpace(stream, group), { stream, group, claimant }, isGone)
  if (refused !== undefined) throw refused
}
