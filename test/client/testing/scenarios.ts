/** The steps of an application with a pipeline, as data: they run in memory and on a real Redis (parity.test.ts). */
import { DelayedError, UnrecoverableError } from 'bullmq'
import type { Dispatcher } from '../../../client/dispatcher.ts'
import type { Handlers } from '../../../client/handlers.ts'
import type { SpecChanges } from '../../redis/resource.ts'

export interface Request {
  readonly id: string
  readonly [name: string]: unknown
}

/** A pipeline that is there: in memory, or on Redis with a consumer and a worker. */
export interface World {
  readonly dispatcher: Dispatcher<Request>
  add(fields: Readonly<Record<string, string>>): Promise<string>
  /** Until every entry is settled. */
  forwarded(): Promise<void>
  /** Has jobs run from now on. @param handlers default: the scenario's */
  work(handlers?: Handlers<Request, unknown>): Promise<void>
  /** Until nothing is left to do, retries and delays included. */
  idle(): Promise<void>
  /** Replays every dead letter, and returns the outcomes. */
  replay(): Promise<readonly string[]>
}

export interface Scenario {
  readonly title: string
  readonly spec: SpecChanges
  readonly handlers?: Handlers<Request, unknown>
  /** Returns what is compared, beside runs, dead letters and states. */
  act(world: World): Promise<unknown>
  /** Names whose status is compared at the end. */
  readonly asked: readonly string[]
}

const byId = {
  payload: { idempotencyKey: ['id'], schema: { type: 'object', required: ['id'], properties: { id: { type: 'string' } } } },
}
const kept = { removeOnComplete: { count: 100 } }
const allow = {
  names: ['resize', 'mail'],
  maxDelay: '1h',
  priority: { min: 1, max: 10 },
  maxAttempts: 5,
  maxBackoff: '1m',
  lifo: true,
  idempotencyKey: true,
}

/** Errors and results, as text: ids of entries differ. */
const outcomeOf = async (call: Promise<unknown>): Promise<unknown> => {
  try {
    return await call
  } catch (thrown) {
    return thrown instanceof Error ? { code: Reflect.get(thrown, 'code'), message: thrown.message } : thrown
  }
}

async function inTurn(world: World, ids: readonly string[], options: Parameters<Dispatcher<Request>['dispatch']>[1] = {}) {
  for (const id of ids) await world.dispatcher.dispatch({ id }, options)
}

/** Dispatches one request, works, and returns its outcome. */
async function awaited(world: World) {
  await inTurn(world, ['a'])
  await world.forwarded()
  const waiting = world.dispatcher.waitFor('a', { timeoutMs: 60_000 })
  await world.work()
  return await waiting
}

const fails = (error: Error) => () => {
  throw error
}

export const scenarios: readonly Scenario[] = [
  {
    title: 'requests run once each, in order, and give their results',
    spec: { ...byId, sink: { jobOptions: kept } },
    handlers: { '*': ({ id }) => ({ done: id, at: new Date(0), nothing: undefined }) },
    async act(world) {
      await inTurn(world, ['a', 'b', 'a', 'c', 'b'])
      await world.forwarded()
      const waiting = ['a', 'b', 'c'].map(async (id) => await world.dispatcher.waitFor(id, { timeoutMs: 60_000 }))
      await world.work()
      return await Promise.all(waiting)
    },
    asked: ['a', 'b', 'c', 'd'],
  },
  {
    title: 'a direct dispatch says whether it was a duplicate',
    spec: { ...byId, mode: 'Direct', sink: { jobOptions: kept } },
    async act(world) {
      const results = await world.dispatcher.dispatchMany([{ id: 'a' }, { id: 'b' }, { id: 'a' }])
      await world.work()
      return results
    },
    asked: ['a', 'b'],
  },
  {
    title: 'a payload that the schema refuses is not sent, and one of a stranger becomes a dead letter',
    spec: byId,
    async act(world) {
      const refused = await outcomeOf(world.dispatcher.dispatch({ identity: 'a' } as never))
      const second = await outcomeOf(world.dispatcher.dispatchMany([{ id: 'a' }, { id: 7 } as never, {} as never]))
      await world.add({ identity: 'a' })
      await world.add({ id: 'b' })
      await world.add({ id: 'c', 'sp-delay': '1000' })
      await world.forwarded()
      await world.work()
      return { refused, second }
    },
    asked: ['a', 'b', 'c'],
  },
  {
    title: 'a handler waits for a request of its own, which fails first',
    spec: { ...byId, sink: { jobOptions: { attempts: 2, ...kept } } },
    async act(world) {
      const tries: number[] = []
      await inTurn(world, ['outer'])
      await world.forwarded()
      await world.work({
        '*': async ({ id }, { job }) => {
          if (id === 'outer') {
            const inner = await world.dispatcher.dispatch({ id: 'inner' })
            return await world.dispatcher.waitFor(inner, { timeoutMs: 60_000 })
          }
          tries.push(job.attemptsMade)
          if (job.attemptsMade === 0) throw new Error('not yet')
          return 'from within'
        },
      })
      return { outer: await world.dispatcher.waitFor('outer', { timeoutMs: 60_000 }), tries }
    },
    asked: ['outer', 'inner'],
  },
  {
    title: 'dead letters are replayed: a job that failed runs again, and a refused entry dies again',
    spec: { ...byId, sink: { jobOptions: { attempts: 1, ...kept } } },
    handlers: {
      '*': ({ id }, { job }) => {
        if (JSON.stringify(job.opts).includes('redrives')) return id
        throw new Error('not today')
      },
    },
    async act(world) {
      await inTurn(world, ['a'])
      await world.add({ identity: 'c' })
      await world.forwarded()
      await world.work()
      await world.idle()
      const first = await world.replay()
      await world.forwarded()
      await world.idle()
      return { first, again: await outcomeOf(world.dispatcher.waitFor('a', { timeoutMs: 60_000 })) }
    },
    asked: ['a'],
  },
  {
    title: 'attempts and a fixed backoff, then a dead letter',
    spec: { ...byId, sink: { jobOptions: { attempts: 3, backoff: { type: 'Fixed', delay: '200ms' } } } },
    handlers: { '*': fails(new Error('not today')) },
    act: awaited,
    asked: ['a'],
  },
  {
    title: 'an exponential backoff ends with the attempt that succeeds',
    spec: { ...byId, sink: { jobOptions: { attempts: 5, backoff: { type: 'Exponential', delay: '100ms' }, ...kept } } },
    handlers: {
      '*': async ({ id }, { job }) => {
        await job.updateProgress({ percent: 10 * job.attemptsMade })
        if (job.attemptsMade < 3) throw new Error(`attempt ${job.attemptsMade}`)
        return id
      },
    },
    async act(world) {
      await inTurn(world, ['a', 'b'])
      await world.forwarded()
      await world.work()
    },
    asked: ['a', 'b'],
  },
  {
    title: 'an unrecoverable error ends the attempts; failed jobs stay where they are left',
    spec: { ...byId, deadLetter: { failedJobs: 'Leave' }, sink: { jobOptions: { attempts: 3 } } },
    handlers: { '*': fails(new UnrecoverableError('no such farm')) },
    async act(world) {
      await inTurn(world, ['a'])
      await world.forwarded()
      await world.work()
    },
    asked: ['a'],
  },
  {
    title: 'without backoff an attempt follows at once, behind those that wait',
    spec: { ...byId, sink: { jobOptions: { attempts: 2, backoff: { type: 'Fixed', delay: '0s' }, ...kept } } },
    handlers: {
      '*': ({ id }, { job }) => {
        if (id === 'a' && job.attemptsMade === 0) throw new Error('again')
        return id
      },
    },
    async act(world) {
      await inTurn(world, ['a', 'b', 'c'])
      await world.forwarded()
      await world.work()
    },
    asked: ['a'],
  },
  {
    title: 'names, priorities and lifo order the jobs',
    spec: { ...byId, sink: { allow, jobOptions: kept } },
    handlers: { resize: ({ id }) => `resized ${id}`, '*': ({ id }) => id },
    async act(world) {
      const { dispatcher } = world
      await dispatcher.dispatch({ id: 'low' }, { priority: 9 })
      await dispatcher.dispatch({ id: 'high' }, { priority: 1, name: 'mail' })
      await dispatcher.dispatch({ id: 'plain' }, { name: 'resize' })
      await dispatcher.dispatch({ id: 'low too' }, { priority: 9 })
      await dispatcher.dispatch({ id: 'first' }, { lifo: true })
      const refused = await outcomeOf(dispatcher.dispatch({ id: 'x' }, { delay: 3_600_001 }))
      const unnamed = await outcomeOf(dispatcher.dispatch({ id: 'x' }, { name: 'crop' }))
      await world.forwarded()
      await world.work()
      return { refused, unnamed }
    },
    asked: ['low', 'high', 'plain', 'first'],
  },
  {
    title: 'a delay counts from the dispatch',
    spec: { ...byId, sink: { allow, jobOptions: kept } },
    handlers: { '*': (_, { job }) => job.opts.delay },
    async act(world) {
      await world.dispatcher.dispatch({ id: 'late' }, { delay: 4_000 })
      await world.forwarded()
      await world.work()
    },
    asked: ['late'],
  },
  {
    title: 'a key of the request, and a job without a handler',
    spec: { ...byId, sink: { allow, jobOptions: { attempts: 1 } } },
    handlers: { mail: ({ id }) => id },
    async act(world) {
      const first = await world.dispatcher.dispatch({ id: 'a' }, { idempotencyKey: 'mine', name: 'mail' })
      await world.dispatcher.dispatch({ id: 'b' }, { idempotencyKey: 'mine', name: 'mail' })
      await world.dispatcher.dispatch({ id: 'c' }, { name: 'resize' })
      await world.forwarded()
      await world.work()
      return first.key
    },
    asked: ['mine', 'c'],
  },
  {
    title: 'what has not begun can be cancelled, and its key stays taken',
    spec: { ...byId, sink: { jobOptions: kept } },
    async act(world) {
      const { dispatcher } = world
      const result = await dispatcher.dispatch({ id: 'a' })
      await inTurn(world, ['b'])
      const early = await dispatcher.cancel(result)
      const early2 = await dispatcher.cancel(result)
      await world.forwarded()
      await inTurn(world, ['a'])
      const before = await dispatcher.cancel('b')
      await world.forwarded()
      const unknown = await dispatcher.cancel('c')
      await world.work()
      const waited = await dispatcher.waitFor('b', { timeoutMs: 60_000 })
      return { outcomes: [early, early2, before, unknown].map(({ outcome }) => outcome), waited }
    },
    asked: ['a', 'b', 'c'],
  },
  {
    title: 'a job that its handler delays uses up no attempt',
    spec: { ...byId, sink: { jobOptions: { attempts: 2, backoff: { type: 'Fixed', delay: '1s' }, ...kept } } },
    handlers: {
      '*': async ({ id }, { job }) => {
        if (job.attemptsStarted > 1) return id
        await job.moveToDelayed(job.timestamp + 3_000, job.token)
        throw new DelayedError()
      },
    },
    act: awaited,
    asked: ['a'],
  },
  {
    title: 'a job that is not kept leaves its mark',
    spec: { ...byId, sink: { jobOptions: { removeOnComplete: { count: 0 } } } },
    handlers: { '*': () => 'gone' },
    async act(world) {
      await inTurn(world, ['a'])
      await world.forwarded()
      await world.work()
      await world.idle()
      await inTurn(world, ['a'])
      await world.forwarded()
      return await world.dispatcher.waitFor('a', { timeoutMs: 60_000 })
    },
    asked: ['a'],
  },
  {
    title: 'after the window a key may run again',
    spec: {
      ...byId,
      reclaim: { minIdle: '1s', interval: '1s' },
      delivery: { maxDeliveries: 2 },
      idempotency: { window: '3s', lockTTL: '1s' },
      sink: { jobOptions: { removeOnComplete: { count: 0 } } },
    },
    handlers: { '*': ({ id }) => id },
    async act(world) {
      await inTurn(world, ['a', 'a'])
      await world.forwarded()
      await world.work()
      await world.idle()
      await inTurn(world, ['a'])
      await world.forwarded()
      await world.idle()
    },
    asked: ['a'],
  },
  {
    title: 'the document in one field, with metadata, keyed by its content',
    spec: { payload: { encoding: 'Json', field: 'body', metadataFields: ['tenant'] }, sink: { jobOptions: kept } },
    handlers: { '*': ({ id, ...rest }, { metadata }) => ({ id, rest, metadata }) },
    async act(world) {
      await world.add({ body: '{"b":[1,2],"id":"a"}', tenant: 'north' })
      await world.add({ body: '{"id":"a","b":[1,2]}', tenant: 'south' })
      await world.add({ body: '{"id":' })
      const result = await world.dispatcher.dispatch({ id: 'a', b: [1, 2] })
      await world.forwarded()
      const waiting = world.dispatcher.waitFor({ key: result.key }, { timeoutMs: 60_000 })
      await world.work()
      return await waiting
    },
    asked: [],
  },
]
