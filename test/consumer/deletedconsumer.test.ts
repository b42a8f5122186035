/** Somebody deletes a consumer from the group while it holds entries: Redis forgets who has them, the work is done all the same. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { auditLedger } from '../../redis/stream/ledger.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { assertOnce, openPipeline } from './fixture.ts'

const server = await startRedis({ after })

test('promise: entries of a consumer that XGROUP DELCONSUMER removed become jobs, and are not counted as lost', {
  todo: true,
}, async (t) => {
  const fixture = openPipeline(t, server)
  const { redis, place } = fixture
  const consumer = await fixture.start('c1')
  await fixture.add(1)
  await eventually(async () => (await fixture.waiting()) === 1)
  await eventually(async () => (await auditLedger(redis, place)) === 0)
  consumer.signal('SIGSTOP')
  t.after(() => consumer.signal('SIGCONT'))
  // Its blocking read is served by Redis although it stands still.
  await fixture.add(5, 1)
  const held = await eventually(async () => (await fixture.pending()).length)
  assert.equal(await redis.xgroup('DELCONSUMER', place.stream, place.group, 'c1'), held)
  consumer.signal('SIGCONT')
  await eventually(async () => assertOnce(await fixture.jobs(), 6), { timeoutMs: 4_000 })
  assert.equal(await auditLedger(redis, place), 0)
})
