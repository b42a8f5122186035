/** Options of a request reach its job by each path, and by Direct dispatch to the same job; beyond the bounds they are dead letters. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { decode } from '@msgpack/msgpack'
import { jsonOf } from '../../../redis/bullmq/item.ts'
import { failedJobFields, failedJobOf } from '../../../redis/deadletters/failedjob.ts'
import { jobId } from '../../../redis/keys.ts'
import { fieldsOf, type RequestOptions } from '../../../redis/payload/request.ts'
import type { PathKind } from '../../../redis/settle/path.ts'
import { kindsOf, openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

const allow = {
  ...{ names: ['report', 'mail-*'], maxDelay: '1h', priority: {}, maxAttempts: 9, maxBackoff: '1m', lifo: true },
  ...{ removeOnComplete: true, removeOnFail: true, idempotencyKey: true },
}

const cases: readonly (readonly [what: string, options: RequestOptions, list: string])[] = [
  ['a name', { name: 'report' }, 'wait'],
  ['a delay', { delay: 60_000 }, 'delayed'],
  ['a priority', { priority: 7 }, 'prioritized'],
  ['a delay and a priority', { delay: 60_000, priority: 3, name: 'mail-1' }, 'delayed'],
  ['attempts and back-off', { attempts: 5, backoff: { type: 'exponential', delay: 500 } }, 'wait'],
  ['lifo', { lifo: true }, 'wait'],
  ['what is kept', { removeOnComplete: true, removeOnFail: false }, 'wait'],
  ['a key of its own', { idempotencyKey: 'mine: ä' }, 'wait'],
]

for (const kind of pathKinds) describe(`${kind}:`, () => suite(kind))

function suite(kind: PathKind) {
  for (const [what, options, list] of cases) {
    test(`${what}, through the stream and dispatched directly, makes the same job`, async (t) => {
      const path = await openPath(t, kind, servers, { sink: { allow } })
      const fields = fieldsOf(options, path.pipeline.sink.allow)
      const flat = ['k', 'a', ...fields].map((text) => Buffer.from(text))
      const decoded = path.codec.decode(flat)
      assert.ok(decoded.kind === 'Valid')
      const id = jobId(path.target.keys.scope, decoded.hash)
      assert.equal(id === path.id('a'), options.idempotencyKey === undefined)

      const entry = await path.put('k', 'a', ...fields)
      assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded'])
      assert.ok(await isIn(path, list, id), `is in ${list}`)
      const through = await path.queue.getJob(id)
      assert.ok(through !== undefined)

      // The same request by Direct dispatch is a duplicate; without mark and job it makes the job anew.
      const direct = await path.direct()
      const { hash, data, trace, asked } = decoded
      assert.ok(asked !== undefined)
      const item = { hash, json: jsonOf(data), trace, asked }
      assert.deepEqual(kindsOf(await direct.forwardItems([item])), ['Duplicate'])
      await through.remove()
      await path.queueClient.del(path.target.keys.mark(hash))
      assert.deepEqual(kindsOf(await direct.forwardItems([item])), ['Forwarded'])
      const directly = await path.queue.getJob(id)
      const { id: _, ...own } = { ...spOf(through) }
      assert.deepEqual({ ...optionsOf(directly), sp: undefined }, { ...optionsOf(through), sp: undefined })
      assert.deepEqual(spOf(directly), own)
      assert.equal(directly?.name, options.name ?? path.target.jobName)
      const { name: __, idempotencyKey: ___, ...given } = options
      for (const [name, value] of Object.entries(given)) assert.deepEqual(optionsOf(through)[name], value, name)
      assert.ok(await isIn(path, list, id))
      if (options.delay !== undefined) assert.equal(through.timestamp, Number(entry.split('-')[0]))
    })
  }

  test('one batch of all kinds is settled in its order, beside broken ones', async (t) => {
    const path = await openPath(t, kind, servers, { sink: { allow } })
    const put = (key: string, options: RequestOptions) => path.put('k', key, ...fieldsOf(options, path.pipeline.sink.allow))
    await put('a', { priority: 2 })
    await put('b', {})
    await path.put('k', 'c', 'sp-delay', 'soon')
    await put('d', { delay: 1_000 })
    await put('a', { priority: 2 })
    await put('e', { priority: 1 })
    await path.put('k', 'f', 'sp-attempts', '10')
    await put('g', {})
    assert.deepEqual(kindsOf(await path.settle(await path.read())), [
      ...['forwarded', 'forwarded', 'dead', 'forwarded', 'duplicate', 'forwarded', 'dead', 'forwarded'],
    ])
    assert.deepEqual(
      (await path.dead()).map(({ reason, error }) => [reason, error]),
      [
        ['OptionRefused', 'field "sp-delay": write whole milliseconds'],
        ['OptionRefused', 'field "sp-attempts": 10 is more than allow.maxAttempts 9'],
      ],
    )
    assert.deepEqual(await path.pending(), [])
  })

  test('kinds of jobs alternate, batch after batch, on one connection', async (t) => {
    const path = await openPath(t, kind, servers, { sink: { allow } })
    const direct = await path.direct()
    const kinds: readonly RequestOptions[] = [{ priority: 2 }, { delay: 60_000 }, { name: 'report' }]
    for (let round = 0; round < 6; round++) {
      const fields = fieldsOf(kinds[round % 3] ?? {}, path.pipeline.sink.allow)
      await path.put('k', `a${round}`, ...fields)
      assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded'])
      const decoded = path.codec.decode(['k', `b${round}`, ...fields].map((text) => Buffer.from(text)))
      assert.ok(decoded.kind === 'Valid' && decoded.asked !== undefined)
      const { hash, data, trace, asked } = decoded
      assert.deepEqual(kindsOf(await direct.forwardItems([{ hash, json: jsonOf(data), trace, asked }])), ['Forwarded'])
    }
    const counts = await path.queue.getJobCounts('prioritized', 'delayed', 'waiting')
    assert.deepEqual([counts['prioritized'], counts['delayed'], counts['waiting']], [4, 4, 4])
  })

  test('a pipeline that allows nothing makes dead letters of options, and leaves other fields of its own prefix out', async (t) => {
    const path = await openPath(t, kind, servers)
    await path.put('k', 'a', 'sp-priority', '1')
    await path.put('k', 'b', 'sp-unknown', '1')
    assert.deepEqual(kindsOf(await path.settle(await path.read())), ['dead', 'forwarded'])
    const [record] = await path.dead()
    assert.equal(record?.error, 'field "sp-priority": spec.sink.bullmq.allow.priority does not allow it')
  })

  test('fields of the payload set options, unless the entry sets them itself', async (t) => {
    const payload = { nameFrom: 'kind', delayFrom: 'wait', priorityFrom: 'rank' }
    const path = await openPath(t, kind, servers, { sink: { allow }, payload })
    await path.put('k', 'a', 'kind', 'report', 'wait', '60000', 'rank', '3')
    await path.put('k', 'b', 'kind', 'report', 'sp-name', 'mail-2', 'rank', '4')
    await path.put('k', 'c', 'rank', 'high')
    await path.put('k', 'd', 'kind', 'other')
    await path.put('k', 'e')
    assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded', 'forwarded', 'dead', 'dead', 'forwarded'])
    const job = async (key: string) => {
      const { name, opts, data } = (await path.queue.getJob(path.id(key))) ?? {}
      return { name, delay: opts?.delay, priority: opts?.priority, data, asked: spOf({ opts: { ...opts } })['asked'] }
    }
    assert.deepEqual(await job('a'), {
      ...{
        name: 'report',
        delay: 60_000,
        priority: 3,
        data: { k: 'a', kind: 'report', wait: '60000', rank: '3' },
        asked: undefined,
      },
    })
    assert.deepEqual(await job('b'), {
      ...{
        name: 'mail-2',
        delay: undefined,
        priority: 4,
        data: { k: 'b', kind: 'report', rank: '4' },
        asked: ['sp-name', 'mail-2'],
      },
    })
    assert.equal((await job('e')).name, path.target.jobName)
    assert.deepEqual(
      (await path.dead()).map(({ error }) => error),
      ['field "rank": write a whole number', 'field "kind": allow.names does not have it'],
    )
  })

  test('the dead letter of a failed job whose entry is gone has the options of its request', async (t) => {
    const path = await openPath(t, kind, servers, { sink: { allow } })
    const fields = ['k', 'a', ...fieldsOf({ name: 'report', priority: 2 }, path.pipeline.sink.allow)]
    await path.put(...fields)
    await path.settle(await path.read())
    const values = await path.queueClient.hmget(path.jobKey('a'), ...failedJobFields)
    const failed = failedJobOf(path.codec, '', ['1', ...values.slice(1)])
    assert.deepEqual(decode(failed?.payload ?? Buffer.alloc(0)), fields)
  })

  test('a delay that has passed in the stream is none; an entry id that no clock gave counts from now', async (t) => {
    const path = await openPath(t, kind, servers, { sink: { allow } })
    const options = fieldsOf({ delay: 60_000 }, path.pipeline.sink.allow)
    const past = Date.now() - 600_000
    await path.stream.xadd(path.place.stream, '5-1', 'k', 'old', ...options)
    await path.stream.xadd(path.place.stream, `${past}-1`, 'k', 'late', ...options)
    await path.settle(await path.read())
    const due = async (key: string) => Number(await path.queueClient.zscore(`${path.queueKey}delayed`, path.id(key))) / 0x1000
    assert.equal(Math.floor(await due('late')), past + 60_000)
    assert.ok((await due('old')) > Date.now() + 50_000)
  })
}

type Path = Awaited<ReturnType<typeof openPath>>

async function isIn(path: Path, list: string, id: string): Promise<boolean> {
  const key = path.queueKey + list
  return list === 'wait'
    ? (await path.queueClient.lrange(key, 0, -1)).includes(id)
    : (await path.queueClient.zscore(key, id)) !== null
}

const optionsOf = (job: { readonly opts: object } | undefined): Record<string, unknown> => ({ ...job?.opts })
const spOf = (job: { readonly opts: object } | undefined) => optionsOf(job)['sp'] as Record<string, unknown>
