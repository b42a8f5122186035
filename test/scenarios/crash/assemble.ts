/** A consumer on given ports, made as the command makes it, but impatient: a crash is recovered from in milliseconds. */
import type { CompiledPipeline } from '../../../api/compiled.ts'
import { type Consumer, createConsumer } from '../../../consumer/consumer.ts'
import type { ConsumerConnections } from '../../../consumer/parts.ts'
import { systemClock } from '../../../process/clock.ts'
import { connect } from '../../../redis/connect/connection.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { chooseSettlePath } from '../../../redis/settle/choose.ts'
import type { PathKind } from '../../../redis/settle/path.ts'
import { address, pipelineWith } from '../../redis/resource.ts'

export interface Assembly {
  readonly path: PathKind
  /** Ports of the stream's Redis and, with the split path, of the queue's. */
  readonly ports: readonly number[]
  readonly name: string
  /** Whether requests may have options of their own. */
  readonly ownOptions: boolean
}

export const pathKinds: readonly PathKind[] = ['Atomic', 'Split', 'Portable']

/** Shorter than the resource allows. */
export const impatience = { minIdleMs: 60, intervalMs: 25, lockTtlMs: 250 } as const

export const windowMs = 600_000

const allow = {
  ...{ names: ['*'], maxDelay: '1h', priority: {}, maxAttempts: 9, maxBackoff: '1m', lifo: true },
  ...{ removeOnComplete: true, removeOnFail: true, idempotencyKey: true },
}

export function pipelineFor({ path, ownOptions }: Pick<Assembly, 'path' | 'ownOptions'>): CompiledPipeline {
  const elsewhere = path === 'Split' ? { redis: { url: 'redis://127.0.0.1:1' } } : {}
  const pipeline = pipelineWith({
    payload: {
      idempotencyKey: ['key'],
      schema: { type: 'object', properties: { key: { type: 'string' }, n: { type: 'integer' } }, required: ['key', 'n'] },
    },
    source: { batchSize: 8, block: '100ms' },
    sink: { jobOptions: { removeOnComplete: { count: 0 } }, ...(ownOptions ? { allow } : {}), ...elsewhere },
  })
  return {
    ...pipeline,
    reclaim: impatience,
    idempotency: { windowMs, lockTtlMs: impatience.lockTtlMs },
  }
}

export interface Assembled {
  readonly consumer: Consumer
  /** Drops every connection; nothing the consumer does reaches Redis any more. */
  sever(): void
}

export function assemble(assembly: Assembly, crash: (thrown: unknown) => void): Assembled {
  const { path, ports, name } = assembly
  const pipeline = pipelineFor(assembly)
  const [streamPort = 0, queuePort] = ports
  const at = address(streamPort)
  const writer = connect(at, 'Writer')
  const queue = path === 'Split' && queuePort !== undefined ? connect(address(queuePort), 'Writer') : writer
  const connections: ConsumerConnections = { blocking: connect(at, 'Blocking'), writer, queue }
  const preference = path === 'Portable' ? 'portable' : 'specialised'
  const consumer = createConsumer({
    pipeline,
    place: streamPlace(pipeline),
    name,
    uid: `${name}/${process.pid}`,
    connections,
    choosePath: async () => {
      const made = await chooseSettlePath(pipeline, writer, queue, preference)
      if (made.path.kind !== path) throw new Error(`the path is ${made.path.kind}, not ${path}: ${made.fallback}`)
      return made
    },
    observers: [],
    crash,
    clock: systemClock,
  })
  return {
    consumer,
    sever() {
      for (const connection of new Set([connections.blocking, writer, queue])) connection.disconnect()
    },
  }
}
