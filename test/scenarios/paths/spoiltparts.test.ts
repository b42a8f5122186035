/** A job that should make way, but whose parts another program filled with other types: its neighbours in the batch are forwarded. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { kindsOf, openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

const parts = ['dependencies', 'processed', 'logs', 'unsuccessful'] as const

for (const kind of pathKinds) {
  for (const part of parts) {
    test(`${kind}: a job that makes way, with another type in its ${part}, holds up no neighbour`, async (t) => {
      const p = await openPath(t, kind, servers)
      await p.putKeys('before', 'spoilt', 'after')
      const entries = await p.read()
      const job = p.jobKey('spoilt')
      await p.queueClient.hset(job, { name: 'process', data: '{"k":"spoilt"}', opts: '{}', timestamp: 1, finishedOn: 1 })
      await p.queueClient.zadd(`${p.queueKey}completed`, 1, p.id('spoilt'))
      await p.queueClient.zadd(`${job}:${part}`, 1, 'of another type')

      const [first, spoilt, last] = kindsOf(await p.settle(entries))
      assert.deepEqual([first, last], ['forwarded', 'forwarded'])
      const live = await p.live()
      const pending = (await p.pending()).map(({ id }) => id)
      assert.equal(live.includes(p.id('spoilt')), spoilt === 'forwarded')
      assert.deepEqual(pending, spoilt === 'forwarded' ? [] : [entries[1]?.id])
    })
  }
}
