/**
 * The test kit keeps the product's promises: each scenario runs in memory, under time of its own, and on a real Redis with a consumer
 * and a BullMQ worker. Runs in order, answers, states with their timelines, and dead letters are
 * compared.
 */
import '../../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CompiledPipeline } from '../../../../api/compiled.ts'
import { createDispatcher } from '../../../../client/dispatcher.ts'
import type { Handlers } from '../../../../client/handlers.ts'
import { createTestPipeline } from '../../../../client/testing/index.ts'
import { createWorker } from '../../../../client/worker.ts'
import { runConsumer } from '../../../../consumer/run.ts'
import { createDeadLetters } from '../../../../redis/deadletters/replay.ts'
import type { DeadLetter } from '../../../../redis/record.ts'
import { chooseSettlePath } from '../../../../redis/settle/choose.ts'
import { type Request, type Scenario, scenarios, type World } from '../../../client/testing/scenarios.ts'
import { openPipeline, writeConfig } from '../../../consumer/fixture.ts'
import { pipelineWith } from '../../../redis/resource.ts'
import { startRedis } from '../../../support/redis.ts'
import { eventually } from '../../../support/wait.ts'

const server = await startRedis({ after })

/** One run of a handler. */
type Run = readonly [name: string, data: unknown, attemptsMade: number, attemptsStarted: number]

interface Observed {
  readonly answer: unknown
  readonly runs: readonly Run[]
  readonly states: unknown
  readonly dead: unknown
}

describe('in memory as on Redis', { concurrency: 2 }, () => {
  for (const [number, scenario] of scenarios.entries()) {
    test(scenario.title, async (t) => {
      const { sink, source, ...rest } = scenario.spec
      const place = {
        source: { stream: `{s${number}}:jobs`, ...source },
        sink: { queue: `s${number}`, prefix: `{s${number}}`, ...sink },
      }
      const spec = { ...rest, ...place, consumer: { logLevel: 'Error' } }
      const compiled = pipelineWith({ url: server.url, ...spec })
      const [real, made] = [await onRedis(t, scenario, compiled, spec), await inMemory(scenario, compiled)]
      assert.deepEqual(made, real)
      // The comparison would pass for two worlds in which nothing happens.
      assert.ok(JSON.stringify(real).length > 200, JSON.stringify(real))
    })
  }
})

/** Handlers that note their runs. Without handlers, a run returns its id. */
function noted(
  scenario: Scenario,
  runs: Run[],
  handlers: Handlers<Request, unknown> = scenario.handlers ?? { '*': ({ id }) => id },
): Handlers<Request, unknown> {
  const entries = Object.entries(handlers).map(([name, handler]) => {
    const note: typeof handler = async (payload, context) => {
      const { job } = context
      runs.push([job.name, payload, job.attemptsMade, job.attemptsStarted])
      return await handler(payload, context)
    }
    return [name, note] as const
  })
  return Object.fromEntries(entries)
}

async function inMemory(scenario: Scenario, compiled: CompiledPipeline): Promise<Observed> {
  const runs: Run[] = []
  let clockMs = Date.UTC(2026, 0, 1)
  const pipeline = createTestPipeline<Request>(compiled, { clock: () => clockMs })
  const { dispatcher } = pipeline
  const world: World = {
    dispatcher,
    add: async (fields) => pipeline.add(fields),
    async forwarded() {
      clockMs += 5
      await pipeline.drain()
    },
    async work(handlers) {
      pipeline.worker(noted(scenario, runs, handlers))
      await pipeline.advance(10_000)
    },
    idle: async () => await pipeline.advance(10_000),
    replay: async () => [...pipeline.deadLetters].map(({ id }) => pipeline.replay(id).outcome),
  }
  const answer = await scenario.act(world)
  await world.idle()
  const dead = pipeline.deadLetters.map(({ reason, error, key, fields, redrives }) => ({ reason, error, key, fields, redrives }))
  return { answer: plain(answer), runs, states: await statesOf(scenario, world), dead: sorted(dead) }
}

async function onRedis(t: TestContext, scenario: Scenario, compiled: CompiledPipeline, spec: object): Promise<Observed> {
  const runs: Run[] = []
  const { redis, queueKey, dead } = openPipeline(t, server, spec)
  const { stream, group } = compiled.source
  // A busy machine takes its time.
  const dispatcher = createDispatcher<Request>({ pipeline: compiled, env: {}, timeoutMs: 60_000 })
  t.after(() => dispatcher.close())
  const stopping = new AbortController()
  const config = await writeConfig(t, { url: server.url, ...spec })
  const consuming = runConsumer({ config, name: 'pod-0', listen: '127.0.0.1:0', env: {}, signal: stopping.signal })
  t.after(async () => {
    stopping.abort()
    assert.equal(await consuming, 0)
  })
  const isSettled = async () => {
    const [groups, jobs] = await Promise.all([redis.xinfo('GROUPS', stream) as Promise<unknown[][]>, redis.exists(stream)])
    const flat = groups[0] ?? []
    const at = (name: string) => flat[flat.indexOf(name) + 1]
    const last = (await redis.xrevrange(stream, '+', '-', 'COUNT', 1))[0]?.[0]
    return jobs === 0 || (at('pending') === 0 && at('last-delivered-id') === last && groups.length === 1 && at('name') === group)
  }
  const isIdle = async () => {
    const counts = await Promise.all([
      redis.llen(`${queueKey}:wait`),
      redis.llen(`${queueKey}:active`),
      redis.zcard(`${queueKey}:delayed`),
      redis.zcard(`${queueKey}:prioritized`),
      compiled.deadLetter.failedJobs === 'Capture' ? redis.zcard(`${queueKey}:failed`) : 0,
    ])
    return counts.every((count) => count === 0)
  }
  const forwarded = async () => {
    if ((await redis.exists(stream)) === 1) await eventually(isSettled, { timeoutMs: 60_000 })
  }
  const world: World = {
    dispatcher,
    add: async (fields) => String(await redis.xadd(stream, '*', ...Object.entries(fields).flat())),
    forwarded,
    async work(handlers) {
      const { queue, prefix } = compiled.sink
      // A handler of the scenario's act may wait for another job.
      const concurrency = handlers === undefined ? 1 : 2
      const execute = noted(scenario, runs, handlers)
      const worker = createWorker<Request>({ queue, prefix, redis: server.url, concurrency, execute })
      t.after(() => worker.close())
      await worker.start()
    },
    async idle() {
      await forwarded()
      await eventually(isIdle, { timeoutMs: 90_000 })
      // Longer than the short windows of the scenarios.
      if (compiled.idempotency.windowMs < 5_000) await sleep(compiled.idempotency.windowMs + 200)
    },
    async replay() {
      const path = await chooseSettlePath(compiled, redis, redis)
      t.after(() => path.path.close())
      const letters = createDeadLetters({ stream: redis, queue: redis, ...path })
      const records: DeadLetter[] = []
      for await (const record of letters.list({})) records.push(record)
      const outcomes: string[] = []
      for (const record of records) outcomes.push((await letters.replay(record)).kind)
      return outcomes
    },
  }
  const answer = await scenario.act(world)
  await world.idle()
  const records = (await dead()).map(({ reason, error, idempotencyKey, payload, redrives }) => {
    const fields = Object.fromEntries(
      Array.from({ length: payload.length / 2 }, (_, at) => [String(payload[2 * at]), String(payload[2 * at + 1])]),
    )
    return { reason, error, key: idempotencyKey, fields, redrives }
  })
  return { answer: plain(answer), runs, states: await statesOf(scenario, world), dead: sorted(records) }
}

async function statesOf({ asked }: Scenario, { dispatcher }: World): Promise<unknown> {
  const states = await Promise.all(
    asked.map(async (name) => {
      const { state, key, jobId, entry, job, dead, duplicateOf, redrives, timeline } = await dispatcher.status(name)
      const { addedAt: _, dueAt: __, startedAt: ___, finishedAt: ____, entry: origin, ...rest } = job ?? {}
      return {
        ...{ name, state, key, jobId, redrives, job: rest },
        entry: entry?.state,
        hasOrigin: origin !== undefined,
        dead: dead && [dead.reason, dead.error, dead.deliveries, dead.redrives],
        isDuplicate: duplicateOf !== undefined,
        timeline: timeline.map(({ what }) => what),
      }
    }),
  )
  return plain(states)
}

/** Ids of entries and records differ from run to run. */
const plain = (value: unknown): unknown =>
  value === undefined ? null : JSON.parse(JSON.stringify(value).replaceAll(/\d{13}-\d+/g, 'ID'))

/** A sweep takes failed jobs in its own order. */
const sorted = (dead: readonly object[]) => dead.map((letter) => JSON.stringify(letter)).sort()
