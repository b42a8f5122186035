/**
 * The connections of one pipeline: to the stream's Redis and, where it has one of its own, to the queue's. Each look resolves the references
 * anew (from a cache), so a rotated password is followed. A changed address gets another connection, and the former one is released.
 */
import type { CompiledPipeline, RedisTarget } from '../../api/compiled.ts'
import { resolveTarget } from '../../redis/connect/references.ts'
import type { Locate } from '../locality.ts'
import { addressId, type RedisConnections, type RedisLease } from './connections.ts'
import type { ReferenceReader } from './referencereader.ts'
import { checkTlsMaterial } from './tlsmaterial.ts'

interface ServersParts {
  readonly reader: Pick<ReferenceReader, 'read'>
  readonly connections: RedisConnections
  readonly locate: Locate
}

export interface PipelineServers {
  /** Undefined before the first look. */
  readonly stream: RedisLease | undefined
  /** Undefined: the queue is at the stream's Redis, or no look has got that far. */
  readonly queue: RedisLease | undefined
  /** @param maxAgeMs how old referred contents may be */
  leaseStream(pipeline: CompiledPipeline, maxAgeMs: number): Promise<RedisLease>
  /** Undefined: the queue is at the stream's Redis. */
  leaseQueue(pipeline: CompiledPipeline, maxAgeMs: number): Promise<RedisLease | undefined>
  release(): Promise<void>
}

export function createPipelineServers({ reader, connections, locate }: ServersParts): PipelineServers {
  let stream: RedisLease | undefined
  let queue: RedisLease | undefined

  async function leaseFor(target: RedisTarget, namespace: string, held: RedisLease | undefined, maxAgeMs: number) {
    const named = await resolveTarget(target, (reference) => reader.read(namespace, reference, maxAgeMs))
    const address = locate(namespace, named)
    if (held !== undefined && held.id === addressId(address)) return held
    checkTlsMaterial(target.tls, address.tls)
    const lease = connections.lease(address, namespace)
    await held?.release()
    return lease
  }

  return {
    get stream() {
      return stream
    },
    get queue() {
      return queue
    },
    async leaseStream({ redis, namespace }, maxAgeMs) {
      stream = await leaseFor(redis, namespace, stream, maxAgeMs)
      return stream
    },
    async leaseQueue({ sink, namespace }, maxAgeMs) {
      if (sink.redis === undefined) {
        await queue?.release()
        queue = undefined
      } else queue = await leaseFor(sink.redis, namespace, queue, maxAgeMs)
      return queue
    },
    release: async () => void (await Promise.all([stream?.release(), queue?.release()])),
  }
}
