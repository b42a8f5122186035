/**
 * One pipeline, settled by one of the three paths, on real servers. The test drives it entry by entry, from outside the consumer,
 * and may act between two steps.
 */

import assert from 'node:assert/strict'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { CompiledJobOptions, CompiledPipeline } from '../../api/compiled.ts'
import { type ForwardItem, jsonOf } from '../../redis/bullmq/item.ts'
import type { AddWay } from '../../redis/bullmq/specialisedadd.ts'
import { close, connect, type RedisConnection } from '../../redis/connect/connection.ts'
import { jobId } from '../../redis/keys.ts'
import { createCodec } from '../../redis/payload/codec.ts'
import { forwardTarget, streamPlace } from '../../redis/placement.ts'
import { decodeDeadLetter } from '../../redis/record.ts'
import { chooseForwarder, chooseSettlePath } from '../../redis/settle/choose.ts'
import type { Disposition, PathKind, SettlePath } from '../../redis/settle/path.ts'
import { ensureGroup } from '../../redis/stream/group.ts'
import { type Delivery, listPending } from '../../redis/stream/pending.ts'
import { address, pipelineWith, type SpecChanges } from '../redis/resource.ts'
import type { RedisServer } from '../support/redis.ts'
import type { Scope } from '../support/scope.ts'

export const pathKinds = ['Atomic', 'Split', 'Portable'] as const satisfies readonly PathKind[]

/** Each path with each way of adding jobs that it has. */
export const forwardWays: readonly { readonly kind: PathKind; readonly add: AddWay }[] = [
  { kind: 'Atomic', add: 'Specialised' },
  { kind: 'Atomic', add: 'BullMQ' },
  { kind: 'Split', add: 'Specialised' },
  { kind: 'Split', add: 'BullMQ' },
  { kind: 'Portable', add: 'BullMQ' },
]

export interface Servers {
  readonly stream: RedisServer
  /** A second server, for the queue of the split path. */
  readonly queue: RedisServer
}

let names = 0

export interface PathChanges extends SpecChanges {
  /** Options that no resource may have, for jobs that BullMQ refuses. */
  readonly jobOptions?: Partial<CompiledJobOptions>
  /** How jobs are added on the other two paths. Default: the product's choice. */
  readonly add?: AddWay
  /** Fields of the idempotency key; default `k`; null: the whole payload. */
  readonly key?: readonly string[] | null
  /** Shares stream, group or queue with another. */
  readonly name?: string
}

export async function openPath(scope: Scope, kind: PathKind, servers: Servers, changes: PathChanges = {}) {
  const { jobOptions, key = ['k'], name = `p${++names}`, add = 'Specialised', ...spec } = changes
  const elsewhere = kind === 'Split'
  const queueServer = elsewhere ? servers.queue : servers.stream
  const written = pipelineWith({
    url: servers.stream.url,
    ...spec,
    source: { stream: `{${name}}:jobs`, ...spec.source },
    payload: { ...(key === null ? {} : { idempotencyKey: key }), ...spec.payload },
    sink: { queue: name, ...(elsewhere ? { redis: { url: queueServer.url } } : {}), ...spec.sink },
  })
  const pipeline: CompiledPipeline = {
    ...written,
    sink: { ...written.sink, jobOptions: { ...written.sink.jobOptions, removeOnComplete: true, ...jobOptions } },
  }
  const place = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  const codec = createCodec(pipeline.payload, pipeline.sink.allow)
  const queueKey = `${target.prefix}:${target.queue}:`
  const preference = kind === 'Portable' ? 'portable' : add === 'BullMQ' ? 'composed' : 'specialised'
  const streamClient: Redis = servers.stream.client()
  const queueClient: Redis = queueServer.client()
  const queue = new Queue(target.queue, {
    connection: queueServer.client({ maxRetriesPerRequest: null }),
    prefix: target.prefix,
    skipMetasUpdate: true,
  })
  queue.on('error', () => undefined)
  // Closing a queue that is still connecting when its server goes would wait for ever.
  await queue.waitUntilReady()
  const opened: { path: SettlePath; connections: readonly RedisConnection[] }[] = []
  scope.after(async () => {
    await queue.close()
    await Promise.all(opened.map(({ path }) => path.close()))
    await Promise.all(opened.flatMap(({ connections }) => [...new Set(connections)].map(close)))
  })

  /** A consumer's path: each has connections of its own. */
  const openSettlePath = async () => {
    const stream = connect(address(servers.stream.port), 'Writer')
    const queueConnection = elsewhere ? connect(address(queueServer.port), 'Writer') : stream
    const plan = await chooseSettlePath(pipeline, stream, queueConnection, preference)
    assert.equal(plan.path.kind, kind)
    if (kind !== 'Portable') assert.equal(plan.add?.way, add, plan.add?.why ?? '')
    opened.push({ path: plan.path, connections: [stream, queueConnection] })
    return { ...plan, stream, queue: queueConnection }
  }

  await ensureGroup(streamClient, place.keys, pipeline.source)
  const first = await openSettlePath()

  const judge = ({ id, fields }: Delivery): Disposition => {
    const decoded = codec.decode(fields)
    const { redrives } = decoded
    if (decoded.kind === 'Invalid') return { kind: 'DeadLetter', id, reason: decoded.reason, error: decoded.error, redrives }
    const { hash, data, trace, metadata, asked } = decoded
    const beside = { ...(metadata === undefined ? {} : { metadata }), ...(asked === undefined ? {} : { asked }) }
    return { kind: 'Forward', id, item: { hash, json: jsonOf(data), trace, origin: id, redrives, ...beside }, redrives }
  }
  const hashOf = (...fields: string[]) => {
    const decoded = codec.decode(fields.map((text) => Buffer.from(text)))
    assert.ok(decoded.kind === 'Valid')
    return decoded.hash
  }
  const keyed = (key: string) => hashOf('k', key)

  return {
    kind,
    pipeline,
    place,
    target,
    codec,
    queue,
    queueKey,
    queueServer,
    stream: streamClient,
    queueClient,
    connections: first,
    openSettlePath,
    id: (key: string) => jobId(target.keys.scope, keyed(key)),
    jobKey: (key: string) => queueKey + jobId(target.keys.scope, keyed(key)),
    mark: (key: string) => target.keys.mark(keyed(key)),
    /** Direct dispatch's forwarder for the same queue. */
    async direct() {
      const connection = connect(address(queueServer.port), 'Producer')
      const { forwarder } = await chooseForwarder(connection, target, preference)
      scope.after(async () => {
        await forwarder.close()
        await close(connection)
      })
      const forward = (...keys: string[]) =>
        forwarder.forward(keys.map((k) => ({ hash: keyed(k), json: jsonOf({ k }), trace: {} }))).then(({ outcomes }) => outcomes)
      return {
        forward,
        forwardItems: (items: readonly ForwardItem[]) => forwarder.forward(items).then(({ outcomes }) => outcomes),
      }
    },
    async put(...fields: (string | Buffer)[]) {
      return String(await streamClient.xadd(place.stream, '*', ...(fields as string[])))
    },
    async putKeys(...keys: string[]) {
      const batch = streamClient.pipeline()
      for (const key of keys) batch.xadd(place.stream, '*', 'k', key)
      return ((await batch.exec()) ?? []).map(([, id]) => String(id))
    },
    async read(consumer = 'me', count = 1_000): Promise<readonly Delivery[]> {
      const reply: unknown = await streamClient.xreadgroupBuffer(
        ...(['GROUP', place.group, consumer, 'COUNT', count, 'STREAMS', place.stream, '>'] as const),
      )
      const entries = Array.isArray(reply) && Array.isArray(reply[0]) ? (reply[0][1] as [Buffer, Buffer[]][]) : []
      return entries.map(([id, fields]) => ({ id: String(id), fields, deliveries: 1 }))
    },
    settle: async (entries: readonly Delivery[], path: SettlePath = first.path) =>
      (await path.settle(entries.map(judge))).outcomes,
    settleWith: async (verdicts: readonly Disposition[]) => await first.path.settle(verdicts),
    judge,
    pending: async () => await listPending(streamClient, place, { start: '-', count: 10_000 }),
    dead: async () =>
      (await streamClient.xrangeBuffer(place.deadLetters, '-', '+')).map(([id, fields]) => decodeDeadLetter(String(id), fields)),
    /** Ids of the jobs that are in one of the queue's lists. */
    async live() {
      const lists = await Promise.all(['wait', 'active', 'paused'].map((list) => queueClient.lrange(queueKey + list, 0, -1)))
      const sets = await Promise.all(['delayed', 'prioritized'].map((set) => queueClient.zrange(queueKey + set, '0', '-1')))
      return [...lists, ...sets].flat()
    },
    async deliver(id: string, deliveries: number, consumer = 'me') {
      const { stream, group } = place
      await streamClient.call('XCLAIM', stream, group, consumer, '0', id, 'RETRYCOUNT', String(deliveries), 'JUSTID')
    },
  }
}

export type OpenPath = Awaited<ReturnType<typeof openPath>>

export const kindsOf = (outcomes: readonly { readonly kind: string }[]) => outcomes.map(({ kind }) => kind)

/** A digest of each key that the pattern matches; expiry aside. */
export async function digest(redis: Redis, pattern: string): Promise<Record<string, string>> {
  const keys = (await redis.keys(pattern)).sort()
  const values = await Promise.all(keys.map((key) => redis.call('DEBUG', 'DIGEST-VALUE', key)))
  return Object.fromEntries(keys.map((key, index) => [key, String(values[index])]))
}
