/** The consumer as a child process, on a real Redis, and its results there. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { streamPlace } from '../../redis/placement.ts'
import { decodeDeadLetter } from '../../redis/record.ts'
import { listPending } from '../../redis/stream/pending.ts'
import { parseHeartbeat } from '../../redis/stream/registry.ts'
import { pipelineWith, resourceWith, type SpecChanges } from '../redis/resource.ts'
import { type RunningProcess, startCli } from '../support/process.ts'
import type { RedisServer } from '../support/redis.ts'
import type { Scope } from '../support/scope.ts'
import { eventually } from '../support/wait.ts'

/** Quick to reclaim and to wake, so that tests need not wait. */
const quick: SpecChanges = {
  reclaim: { minIdle: '1s', interval: '1s' },
  idempotency: { lockTTL: '1s' },
  consumer: { logLevel: 'Debug', terminationGracePeriodSeconds: 10 },
}

/** The environment of a consumer that payloads can kill (traps.ts). */
export const withTraps = { NODE_OPTIONS: '--import ./test/consumer/traps.ts' }

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

export interface ConsumerProcess extends RunningProcess {
  readonly name: string
  log(): LogLine[]
  /** The line with this message; waits for it. */
  logged(message: string | RegExp, timeoutMs?: number): Promise<LogLine>
  get(path: string): Promise<{ status: number; body: string }>
  ready(timeoutMs?: number): Promise<void>
  metric(line: string): Promise<number>
}

export async function writeConfig(scope: Scope, changes: SpecChanges): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-consumer-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'pipeline.json')
  await writeFile(file, JSON.stringify(resourceWith(changes)))
  return file
}

/** One pipeline on one server: its consumers, and its data seen from outside. */
export function openPipeline(scope: Scope, server: RedisServer, changes: SpecChanges = {}) {
  const spec = { ...quick, url: server.url, ...changes }
  const pipeline = pipelineWith(spec)
  const place = streamPlace(pipeline)
  const { stream, group } = pipeline.source
  const redis: Redis = server.client()
  const queueKey = `${pipeline.sink.prefix}:${pipeline.sink.queue}`

  const start = async (name: string, options: { ready?: boolean; env?: Record<string, string> } = {}) => {
    const config = await writeConfig(scope, spec)
    const args = ['consume', '--config', config, '--name', name, '--listen', '127.0.0.1:0']
    const child = await startCli(scope, args, { env: { POD_UID: undefined, ...options.env } })
    const consumer = consumerProcess(child, name)
    if (options.ready !== false) await consumer.ready()
    return consumer
  }

  return {
    spec,
    pipeline,
    place,
    redis,
    queueKey,
    start,
    async add(count: number, from = 0) {
      const batch = redis.pipeline()
      for (let i = from; i < from + count; i++) batch.xadd(stream, '*', 'job_id', String(i))
      const replies = (await batch.exec()) ?? []
      return replies.map(([, id]) => String(id))
    },
    async makeGroup() {
      await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
    },
    /** Reads as a consumer that will not settle. */
    async read(name: string, count: number) {
      const reply = await redis.xreadgroup('GROUP', group, name, 'COUNT', count, 'STREAMS', stream, '>')
      const entries = (reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? []
      return entries.map(([id]) => id)
    },
    async deliver(name: string, ids: readonly string[], deliveries: number, idleMs: number) {
      await redis.call(
        'XCLAIM',
        ...[stream, group, name, '0', ...ids, 'IDLE', String(idleMs), 'RETRYCOUNT', String(deliveries), 'JUSTID'],
      )
    },
    pending: async () => await listPending(redis, place, { start: '-', count: 10_000 }),
    dead: async () =>
      (await redis.xrangeBuffer(place.deadLetters, '-', '+')).map(([id, fields]) => decodeDeadLetter(String(id), fields)),
    /** job_id of every job that waits, in the order of adding. */
    async jobs() {
      const ids = (await redis.lrange(`${queueKey}:wait`, 0, -1)).reverse()
      if (ids.length === 0) return []
      const batch = redis.pipeline()
      for (const id of ids) batch.hget(`${queueKey}:${id}`, 'data')
      const replies = (await batch.exec()) ?? []
      return replies.map(([, data]) => String(Reflect.get(JSON.parse(String(data)), 'job_id')))
    },
    waiting: async () => await redis.llen(`${queueKey}:wait`),
    heartbeat: async (name: string) => parseHeartbeat(await redis.get(place.keys.consumer(name))),
    names: async () => {
      const consumers = (await redis.xinfo('CONSUMERS', stream, group)) as unknown[][]
      return consumers.map((fields) => String(fields[1])).sort()
    },
  }
}

export type PipelineFixture = ReturnType<typeof openPipeline>

export function consumerProcess(child: RunningProcess, name: string): ConsumerProcess {
  const log = (): LogLine[] =>
    child
      .stdout()
      .split('\n')
      // The text after the last newline is incomplete.
      .slice(0, -1)
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine)
  const logged = async (message: string | RegExp, timeoutMs = 60_000) => {
    const is = ({ msg }: LogLine) => (typeof message === 'string' ? msg === message : message.test(msg))
    return await eventually(
      () => {
        const line = log().find(is)
        if (line !== undefined) return line
        if (!child.running()) throw new Error(`it has ended:\n${child.stdout()}${child.stderr()}`)
        throw new Error(`no line ${String(message)} in:\n${child.stdout()}`)
      },
      { timeoutMs },
    )
  }
  let port: unknown
  const get = async (path: string) => {
    port ??= (await logged('consumer starts'))['port']
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`, { headers: { connection: 'close' } })
    return { status: response.status, body: await response.text() }
  }
  return {
    ...child,
    name,
    log,
    logged,
    get,
    async ready(timeoutMs = 60_000) {
      await logged('consumer starts')
      await eventually(async () => (await get('/readyz')).status === 200, { timeoutMs })
    },
    async metric(line) {
      const { body } = await get('/metrics')
      const found = body.split('\n').find((text) => text.startsWith(line))
      return Number(found?.split(' ').at(-1) ?? Number.NaN)
    },
  }
}

export const range = (count: number) => Array.from({ length: count }, (_, i) => String(i))

/** Each of 0…count-1 exactly once. */
export function assertOnce(jobs: readonly string[], count: number): void {
  assert.deepEqual(
    jobs.toSorted((a, b) => Number(a) - Number(b)),
    range(count),
  )
}
