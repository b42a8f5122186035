/**
 * The queue in a Redis that has a replica. On the paths of two steps a batch is acknowledged only once a replica has its jobs.
 * The atomic path has job and acknowledgement in one history, and waits for no replica.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kindsOf, openPath } from '../../paths/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

for (const kind of ['Split', 'Portable'] as const) {
  test(`${kind}: a batch stays pending while the replica that confirmed the last one is away`, async (t) => {
    const [stream, queue] = await Promise.all([startRedis(t), startRedis(t)])
    const primary = kind === 'Split' ? queue : stream
    const following = ['--replicaof', primary.host, String(primary.port)]
    const replica = await startRedis(t, { args: following })
    const asked = primary.client()
    // The primary would wait for further replicas before it sends the missing data of the first one.
    await asked.config('SET', 'repl-diskless-sync-delay', '0')
    const sees = async (what: RegExp) => what.test(await asked.info('replication'))
    await eventually(() => sees(/state=online/))
    const path = await openPath(t, kind, { stream, queue })
    await path.putKeys('a')
    assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded'])

    await replica.kill('SIGKILL')
    await eventually(() => sees(/connected_slaves:0/))
    await path.putKeys('b', 'c')
    const entries = await path.read()
    await assert.rejects(path.settle(entries), { code: 'RedisNotReady' })
    assert.equal((await path.pending()).length, 2, 'not acknowledged')

    await replica.start()
    await eventually(() => sees(/state=online/))
    await path.settle(entries)
    assert.deepEqual(await path.pending(), [])
    assert.deepEqual((await path.live()).toSorted(), ['a', 'b', 'c'].map(path.id).toSorted())
  })
}
