/** A user that only works: enough for `createWorker` and for BullMQ's worker below it, and the limits of a worker. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Queue } from 'bullmq'
import type { WorkerJob } from '../../../client/job.ts'
import { createWorker } from '../../../client/worker.ts'
import type { WorkerOptions } from '../../../client/workeroptions.ts'
import { executionLock } from '../../../redis/keys.ts'
import { workerRules } from '../../../redis/preflight/workerrights.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { eventually } from '../../support/wait.ts'

interface Work {
  readonly request: string
}

const [user, password] = ['ndvi-worker', 'least']
const rules = workerRules(pipelineWith())
const scope = fileScope()
let redis: RedisServer
before(async () => {
  redis = await startRedis(scope)
})

async function grant(granted: readonly string[]) {
  await redis.client().flushall()
  await redis
    .client()
    .call('ACL', 'SETUSER', user, 'reset', 'on', `>${password}`, 'resetkeys', 'resetchannels', '-@all', ...granted)
  await redis.client().call('ACL', 'LOG', 'RESET')
}

async function refused(): Promise<string[]> {
  const log = (await redis.client().call('ACL', 'LOG')) as string[][]
  return log.map((entry) => String(entry[entry.indexOf('object') + 1]))
}

function openQueue(t: TestContext) {
  const queue = new Queue<Work>('ndvi', { connection: redis.client({ maxRetriesPerRequest: null }) })
  queue.on('error', () => undefined)
  t.after(() => queue.close())
  return queue
}

async function startWorker(t: TestContext, options: Omit<WorkerOptions<Work, unknown>, 'queue' | 'redis'>) {
  const url = `redis://${user}:${password}@127.0.0.1:${redis.port}/0`
  const worker = createWorker<Work>({ queue: 'ndvi', redis: url, onError: () => undefined, postponeMs: 100, ...options })
  t.after(() => worker.close())
  await worker.start()
}

test('the library works with it: runs, fails, tries again, postpones, takes over stalled jobs, and is refused nothing', async (t) => {
  await grant(rules)
  const queue = openQueue(t)
  // A job of a worker that is gone: active, without a lock.
  await queue.add('compute', { request: 'stalled' }, { jobId: 'e-stalled' })
  await redis.client().rpoplpush('bull:ndvi:wait', 'bull:ndvi:active')
  // A key that another worker runs.
  await redis.client().set(executionLock('bull', 'ndvi', 'e-held'), 'another', 'PX', 500)
  const tries = new Map<string, number>()
  await startWorker(t, {
    execute: async ({ request }: Work, { job }: { readonly job: WorkerJob<Work> }) => {
      tries.set(request, (tries.get(request) ?? 0) + 1)
      await job.updateProgress(50)
      await job.log('half')
      await delay(request === 'long' ? 500 : 0)
      if (request === 'fails' || (request === 'again' && tries.get(request) === 1)) throw new Error('refused upstream')
      return { done: true }
    },
    lockTtlMs: 300,
    bullmq: { stalledInterval: 200, limiter: { max: 50, duration: 100 }, metrics: { maxDataPoints: 10 }, lockDuration: 1_000 },
  })
  for (const request of ['a', 'again', 'fails', 'held', 'long', 'delayed', 'first', 'bounded']) {
    await queue.add(
      'compute',
      { request },
      {
        jobId: `e-${request}`,
        ...(request === 'again' ? { attempts: 2, backoff: { type: 'fixed', delay: 50 } } : {}),
        ...(request === 'delayed' ? { delay: 200 } : {}),
        ...(request === 'first' ? { priority: 1 } : {}),
        ...(request === 'bounded' ? { removeOnComplete: { age: 60, count: 3 } } : {}),
      },
    )
  }
  await eventually(async () => {
    const { completed, failed } = await queue.getJobCounts('completed', 'failed')
    assert.ok((completed ?? 0) >= 3 && failed === 1)
    assert.equal(tries.size, 9, [...tries.keys()].join(' '))
    assert.deepEqual(await queue.getJobCounts('wait', 'active', 'delayed'), { wait: 0, active: 0, delayed: 0 })
  })
  assert.equal(tries.get('again'), 2)
  assert.deepEqual(await refused(), [])
})

for (const right of ['+get', '+set', '+del', '+pexpire', '+pttl', rules.find((rule) => rule.includes('exec')) ?? 'none']) {
  test(`without ${right} the execution lock is refused, and no job runs unguarded`, async (t) => {
    await grant(rules.filter((rule) => rule !== right))
    const queue = openQueue(t)
    // A long one needs its lock renewed; a held one needs to know how long.
    await redis.client().set(executionLock('bull', 'ndvi', 'held'), 'another', 'PX', 60_000)
    let ended = 0
    await startWorker(t, {
      execute: async () => {
        await delay(400)
        ended += 1
      },
      lockTtlMs: 300,
    }).catch(() => undefined)
    await queue.add('compute', { request: 'a' }, { jobId: 'held' })
    await queue.add('compute', { request: 'b' })
    await eventually(async () => assert.notDeepEqual(await refused(), []))
    if (right === '+set' || right.startsWith('~')) assert.equal(ended, 0)
  })
}

test('it reads no stream, touches no dead letter and no other queue', async (t) => {
  await grant(rules)
  const client = redis.client({ username: user, password })
  t.after(() => client.disconnect())
  const attempts: readonly (readonly [string, ...string[]])[] = [
    ['XRANGE', 'ndvi:jobs', '-', '+'],
    ['XADD', 'ndvi:jobs', '*', 'a', 'b'],
    ['XADD', '{ndvi:jobs}:dead', '*', 'a', 'b'],
    ['GET', 'sp:{bull:ndvi}:mark'],
    ['SET', 'sp:{bull:ndvi}:exec:other:key', 'x'],
    ['LRANGE', 'bull:other:wait', '0', '-1'],
    ['FLUSHALL'],
    ['KEYS', '*'],
    ['CONFIG', 'GET', '*'],
  ]
  for (const [command, ...args] of attempts)
    await assert.rejects(client.call(command, ...args), /NOPERM|permission|can't run this command/, [command, ...args].join(' '))
})

/** A worker calls these, and a scheduler's next job is added by them. */
const ofWorkers = new RegExp(
  `^(?:${[
    ...[
      'add(?:Delayed|Standard|Prioritized|Parent)Job',
      'addLog',
      'changeDelay',
      'extendLocks?',
      'getRateLimitTtl',
      'isFinished',
    ],
    ...['isMaxed', 'move(?:ToActive|ToFinished|ToDelayed|ToWaitingChildren|StalledJobsToWait|JobFromActiveToWait)', 'paginate'],
    ...['promote', 'releaseLock', 'retryJob', 'saveStacktrace', 'updateData', 'updateJobScheduler', 'updateProgress'],
  ].join('|')})-\\d+\\.js$`,
)

test('it covers each command in the scripts of BullMQ’s worker', () => {
  const folder = join(projectRoot, 'node_modules', 'bullmq', 'dist', 'esm', 'scripts')
  const scripts = readdirSync(folder).filter((file) => ofWorkers.test(file))
  assert.ok(scripts.length >= 20, `only ${scripts.length} scripts`)
  const commands = scripts.flatMap((file) =>
    [...readFileSync(join(folder, file), 'utf8').matchAll(/call\(\s*\\?["'](\w+)\\?["']/g)].map(([, name = '']) =>
      name.toLowerCase(),
    ),
  )
  assert.ok(commands.length >= 100, `only ${commands.length} calls`)
  assert.deepEqual([...new Set(commands)].filter((command) => !rules.includes(`+${command}`)).sort(), [])
})

test('the rule in docs/redis.md is this one', () => {
  const page = readFileSync(join(projectRoot, 'docs', 'redis.md'), 'utf8')
  const [, line = ''] = /ACL SETUSER ndvi-worker on ([\s\S]*?)\n```/.exec(page) ?? []
  const words = line.replaceAll(/\\\n/g, ' ').replaceAll("'", '').trim().split(/\s+/)
  assert.deepEqual(words.slice(4), rules)
})
