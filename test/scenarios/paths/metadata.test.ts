/** Metadata on its way: into the job beside its data, to the worker, and back with the request of a job that failed. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { Worker } from 'bullmq'
import { createWorker, type ExecutionContext } from '../../../client/index.ts'
import { sweeperOf } from '../../paths/failing.ts'
import { kindsOf, openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

const payload = { encoding: 'Json', field: 'body', ignoreFields: ['*'], metadataFields: ['tenant', 'x-*'] }
const changes = { payload, jobOptions: { attempts: 1, removeOnFail: false } }
const document = '{"k":"a","n":1}'
const entry = ['tenant', 't1', 'body', document, 'noise', 'x', 'x-a', 'ä"']
const metadata = { tenant: 't1', 'x-a': 'ä"' }

for (const kind of pathKinds) {
  describe(`${kind}:`, () => {
    test('a worker finds it beside the payload; id, data and mark are those of the payload alone', async (t) => {
      const path = await openPath(t, kind, servers, changes)
      const bare = path.codec.decode([Buffer.from('body'), Buffer.from(document)])
      assert.ok(bare.kind === 'Valid')
      await path.put(...entry)
      await path.put('body', document)
      assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded', 'duplicate'])
      const [id] = await path.live()
      assert.ok(id?.endsWith(bare.hash))
      assert.equal(await path.queueClient.hget(path.queueKey + id, 'data'), document)
      const seen: [object, ExecutionContext<object>['metadata']][] = []
      const worker = createWorker({
        queue: path.target.queue,
        prefix: path.target.prefix,
        redis: path.queueServer.url,
        execute: (data, context) => {
          seen.push([data, context.metadata])
        },
      })
      t.after(() => worker.close())
      await worker.start()
      await eventually(() => seen.length === 1)
      assert.deepEqual(seen, [[{ k: 'a', n: 1 }, metadata]])
    })

    test('a dead letter keeps every byte; of an entry that is gone, the payload and its metadata', async (t) => {
      const path = await openPath(t, kind, servers, changes)
      const bytes = (parts: readonly string[]) => parts.map((part) => Buffer.from(part))
      await path.put(...entry)
      const gone = await path.put('tenant', 't2', 'body', '{"k":"b"}', 'noise', 'x')
      await path.put('tenant', 't3', 'body', '{"k":1,"k":2}', 'noise', 'x')
      assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded', 'forwarded', 'dead'])
      const worker = new Worker(
        path.target.queue,
        async () => {
          throw new Error('not today')
        },
        { connection: path.queueServer.client({ maxRetriesPerRequest: null }), prefix: path.target.prefix },
      )
      worker.on('error', () => undefined)
      t.after(() => worker.close())
      await eventually(async () => (await path.queueClient.zcard(`${path.queueKey}failed`)) === 2, { timeoutMs: 60_000 })
      await worker.close()
      await path.stream.xdel(path.place.stream, gone)
      await sweeperOf(path).sweep()
      const letters = new Map(
        (await path.dead()).map((letter) => [letter.reason === 'JobFailed' ? letter.originalId : letter.reason, letter]),
      )
      assert.deepEqual(letters.get('InvalidPayload')?.payload, bytes(['tenant', 't3', 'body', '{"k":1,"k":2}', 'noise', 'x']))
      const [first] = [...letters.values()].filter(({ reason, originalId }) => reason === 'JobFailed' && originalId !== gone)
      assert.deepEqual(first?.payload, bytes(entry))
      const restored = letters.get(gone)
      assert.deepEqual(restored?.payload, bytes(['body', '{"k":"b"}', 'tenant', 't2']))
      assert.ok(restored.altered !== true)
    })
  })
}
