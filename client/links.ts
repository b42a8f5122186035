/**
 * A dispatcher's ties to Redis, made when first needed: one connection to the stream, and the forwarder on the queue's. Adding to a stream
 * needs no BullMQ, so that is loaded with the first need for the queue.
 */
import type { CompiledPipeline } from '../api/compiled.ts'
import { failure, type StreamPipelineError } from '../api/errors.ts'
import type { BullQueue } from '../redis/bullmq/queue.ts'
import { labelOf, type RedisConnection } from '../redis/connect/connection.ts'
import type { DispatchConfig } from '../redis/dispatchconfig.ts'
import { slotOf } from '../redis/keys.ts'
import { queueKey, targetOf } from '../redis/placement.ts'
import type { Forwarder } from '../redis/settle/forwarders/forwarder.ts'
import type { EventPlace } from './eventhub.ts'
import type { DispatcherOptions } from './options.ts'
import type { Plan } from './plan.ts'
import { isClustered, type Lease, leaseConnection, nameOf, type RedisSource, redisSource, workerConnection } from './redis.ts'

export interface Links {
  /** The connection to the stream's Redis; nothing is sent by making it. */
  stream(): RedisConnection | Promise<RedisConnection>
  /** The connection to the queue's Redis. Throws InvalidOption where it is another one and not given. */
  queue(plan: Plan): Promise<RedisConnection>
  /** Where a stream of events lies, beside the pipeline's stream or its queue. Throws InvalidOption as `queue`. */
  events(side: 'Stream' | 'Queue', plan: Plan, stream: string): EventPlace
  /** BullMQ's queue of a plan, and whether its scripts are known and proven there. */
  bull(plan: Plan): Promise<{ readonly bull: BullQueue; readonly isKnown: boolean }>
  /** The forwarder of a plan, on the queue's Redis. */
  forwarder(plan: Plan): Promise<Forwarder>
  /** The server's name in messages, without secrets. */
  label(): string
  end(): Promise<void>
}

interface Chosen {
  readonly forwarder: Forwarder
  readonly isComposed: boolean
}

interface LinkOptions extends Pick<DispatcherOptions, 'redis' | 'queueRedis' | 'refs'> {
  readonly pipeline: CompiledPipeline | undefined
  /** Receives the reason why direct dispatch takes the portable path, once per choice of that path. */
  readonly onError: (error: StreamPipelineError) => void
}

export function createLinks({ redis, queueRedis, refs, pipeline, onError }: LinkOptions): Links {
  const streamSource = sourceOf('redis', redis, pipeline?.redis, refs)
  if (streamSource === undefined) {
    throw failure('InvalidOption', { option: 'redis', detail: 'a dispatch configuration names no Redis: give its URL' })
  }
  const queueSource = sourceOf('queueRedis', queueRedis, pipeline?.sink.redis, refs)
  const streamLease = lazy(() => leaseConnection(streamSource, 'Producer'))
  const queueLease = queueSource && lazy(() => leaseConnection(queueSource, 'Producer'))
  let latest: { readonly config: DispatchConfig; readonly forwarder: Promise<Chosen> } | undefined
  const forwarders: Forwarder[] = []
  const queues = new Map<string, Promise<BullQueue>>()
  let latestConnection: RedisConnection | undefined
  let streamConnection: RedisConnection | undefined

  const connectionOf = async (lease: Lazy<Lease>) => {
    const { connection } = await lease.get()
    latestConnection = connection
    return connection
  }

  const queueConnection = async ({ config }: Plan) => {
    const lease = config.queueElsewhere ? queueLease : streamLease
    if (lease === undefined) {
      throw failure('InvalidOption', { option: 'queueRedis', detail: queueMissing })
    }
    return await connectionOf(lease)
  }

  /**
   * By the consumers' own rule. While the mode changes, consumers and direct dispatch may forward at once, and must go the same
   * way.
   */
  const choose = async (connection: RedisConnection, config: DispatchConfig) => {
    const { chooseForwarder } = await import('../redis/settle/choose.ts')
    const { forwarder, fallback, confirmation } = await chooseForwarder(connection, targetOf(config))
    forwarders.push(forwarder)
    if (fallback !== undefined) onError(failure('PortableForwarding', { queue: config.queue, detail: fallback }))
    confirmation.listen({ changed: (amiss) => amiss !== undefined && onError(amiss), unconfirmed: ignoreSingleBatches })
    return { forwarder, isComposed: fallback === undefined }
  }

  const chosen = async (plan: Plan): Promise<Chosen> => {
    const { config } = plan
    const connection = await queueConnection(plan)
    if (latest?.config !== config) {
      const forwarder = choose(connection, config)
      latest = { config, forwarder }
      // One that could not be chosen, Redis being away, is chosen again by the next dispatch.
      forwarder.catch(() => {
        if (latest?.forwarder === forwarder) latest = undefined
      })
    }
    return await latest.forwarder
  }

  return {
    /** No promise once the connection is there: each one lengthens a dispatch. */
    stream() {
      if (streamConnection === undefined) return connectionOf(streamLease).then((made) => (streamConnection = made))
      latestConnection = streamConnection
      return streamConnection
    },
    queue: queueConnection,
    events(side, { config }, stream) {
      const source = side === 'Queue' && config.queueElsewhere ? queueSource : streamSource
      if (source === undefined) throw failure('InvalidOption', { option: 'queueRedis', detail: queueMissing })
      const open = async () => {
        const connection = await workerConnection(source)
        // One that was lent may be a plain ioredis one: without a listener it prints what its commands report.
        connection.on('error', ignoreConnectionError)
        return connection
      }
      // A command of a cluster keeps to one slot.
      return { name: isClustered(source) ? `${nameOf(source)} ${slotOf(stream)}` : nameOf(source), open }
    },
    async bull(plan) {
      const { isComposed } = await chosen(plan)
      const { queue, prefix } = plan.config
      const key = queueKey(plan.config)
      const opened = queues.get(key) ?? openQueue(await queueConnection(plan), queue, prefix)
      queues.set(key, opened)
      opened.catch(() => queues.delete(key))
      return { bull: await opened, isKnown: isComposed }
    },
    forwarder: async (plan) => (await chosen(plan)).forwarder,
    label: () => (latestConnection === undefined ? 'redis' : labelOf(latestConnection)),
    async end() {
      await Promise.all(forwarders.map((forwarder) => forwarder.close()))
      const opened = await Promise.allSettled(queues.values())
      await Promise.all(opened.map((each) => (each.status === 'fulfilled' ? each.value.close() : undefined)))
      const leases = await Promise.allSettled([streamLease.made(), queueLease?.made()])
      await Promise.all(leases.map((lease) => (lease.status === 'fulfilled' ? lease.value?.end() : undefined)))
    },
  }
}

async function openQueue(connection: RedisConnection, name: string, prefix: string): Promise<BullQueue> {
  const { openBullQueue } = await import('../redis/bullmq/queue.ts')
  return await openBullQueue(connection, name, prefix)
}

const queueMissing = 'the queue lives in another Redis: give its URL'

/** Each command reports it by itself. */
function ignoreConnectionError() {}

/** The change was reported; a report for each dispatch would drown the rest. */
function ignoreSingleBatches() {}

function sourceOf(
  option: 'redis' | 'queueRedis',
  given: DispatcherOptions['redis'],
  target: CompiledPipeline['redis'] | undefined,
  refs: string | undefined,
): RedisSource | undefined {
  const named = target && { target, refs }
  if (given !== undefined) return redisSource(given, option, named)
  return named && { kind: 'Target', ...named }
}

interface Lazy<T> {
  /** Makes it at the first call; what could not be made is tried again by the next. */
  get(): Promise<T>
  /** What `get` made, if anything. */
  made(): Promise<T> | undefined
}

function lazy<T>(make: () => Promise<T>): Lazy<T> {
  let made: Promise<T> | undefined
  return {
    get() {
      made ??= make().catch((thrown: unknown) => {
        made = undefined
        throw thrown
      })
      return made
    },
    made: () => made,
  }
}
