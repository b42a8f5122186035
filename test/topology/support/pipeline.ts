/** A pipeline on any kind of Redis: its consumer as a process, and the jobs that it left in the queue. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { RedisConnection } from '../../../redis/connect/connection.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { listPending } from '../../../redis/stream/pending.ts'
import { type ConsumerProcess, consumerProcess, range, writeConfig } from '../../consumer/fixture.ts'
import { pipelineWith, resourceWith, type SpecChanges } from '../../redis/resource.ts'
import { startCli } from '../../support/process.ts'
import type { Scope } from '../../support/scope.ts'
import { eventually } from '../../support/wait.ts'

const quick: SpecChanges = {
  payload: { idempotencyKey: ['job_id'] },
  reclaim: { minIdle: '1s', interval: '1s' },
  idempotency: { lockTTL: '1s' },
  consumer: { terminationGracePeriodSeconds: 10 },
}

/** Contents of mounted references: `secret/NAME/KEY` → text. */
export type References = Readonly<Record<string, string>>

export interface TopologyParts {
  readonly spec: SpecChanges
  readonly refs?: References
  /** Clients that see the data from outside; the queue's where it lives elsewhere. */
  readonly redis: RedisConnection
  readonly queueRedis?: RedisConnection
  /** Of the consumers. */
  readonly env?: Readonly<Record<string, string>>
}

export async function openTopology(scope: Scope, { spec: given, refs = {}, redis, queueRedis = redis, env = {} }: TopologyParts) {
  const spec = { ...quick, ...given }
  const pipeline = pipelineWith(spec)
  const place = streamPlace(pipeline)
  const queueKey = `${pipeline.sink.prefix}:${pipeline.sink.queue}`
  const folder = await writeReferences(scope, refs)

  const launch = async (name: string): Promise<ConsumerProcess> => {
    const config = await writeConfig(scope, spec)
    const args = ['consume', '--config', config, '--name', name, '--listen', '127.0.0.1:0', '--refs', folder]
    return consumerProcess(await startCli(scope, args, { env: { POD_UID: undefined, ...env } }), name)
  }

  const added = async () => {
    const counts = new Map<string, number>()
    for (const [, fields] of await queueRedis.xrange(`${queueKey}:events`, '-', '+')) {
      const event = Object.fromEntries(fields.flatMap((text, i) => (i % 2 === 0 ? [[text, fields[i + 1] ?? '']] : [])))
      if (event['event'] === 'added') counts.set(event['jobId'] ?? '', (counts.get(event['jobId'] ?? '') ?? 0) + 1)
    }
    return counts
  }

  const jobs = async () => {
    const ids = await queueRedis.lrange(`${queueKey}:wait`, 0, -1)
    if (ids.length === 0) return []
    const batch = queueRedis.pipeline()
    for (const id of ids) batch.hget(`${queueKey}:${id}`, 'data')
    const replies = (await batch.exec()) ?? []
    return replies.map(([, data]) => Number(Reflect.get(JSON.parse(String(data)), 'job_id')))
  }

  return {
    document: resourceWith(spec),
    pipeline,
    place,
    queueKey,
    folder,
    /** A consumer that may never become ready. */
    launch,
    async start(name = 'pod-0') {
      const consumer = await launch(name)
      await consumer.ready().catch((cause: unknown) => {
        throw new Error(`not ready:\n${consumer.stdout()}${consumer.stderr()}`, { cause })
      })
      return consumer
    },
    async add(count: number, from = 0) {
      for (let id = from; id < from + count; id++) await redis.xadd(place.stream, '*', 'job_id', String(id))
    },
    jobs,
    waiting: async () => await queueRedis.llen(`${queueKey}:wait`),
    pending: async () => await listPending(redis, place, { start: '-', count: 10_000 }),
    /** Each of the numbers is a job that waits, was added once, and nothing is left pending. */
    async settled(numbers: readonly number[], timeoutMs = 60_000) {
      const wanted = numbers.toSorted((a, b) => a - b)
      await eventually(async () => (await queueRedis.llen(`${queueKey}:wait`)) >= wanted.length, { timeoutMs })
      await eventually(async () => (await listPending(redis, place, { start: '-', count: 1 })).length === 0, { timeoutMs })
      assert.deepEqual(
        (await jobs()).toSorted((a, b) => a - b),
        wanted,
      )
      assert.deepEqual(
        [...(await added())].filter(([, times]) => times !== 1),
        [],
        'a job was added twice',
      )
    },
  }
}

export type Topology = Awaited<ReturnType<typeof openTopology>>

export const numbers = (count: number): number[] => range(count).map(Number)

/** From a secret's key, as a spec refers to it. */
export const secret = (name: string, key: string) => ({ secretKeyRef: { name, key } })

async function writeReferences(scope: Scope, refs: References): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-refs-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(refs)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  return folder
}
