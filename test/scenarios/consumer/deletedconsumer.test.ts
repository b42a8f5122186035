/** Other hands delete a consumer from the group while it holds entries: Redis forgets them, the ledger does not. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { auditLedger, readLedger } from '../../../redis/stream/ledger.ts'
import { assertOnce, openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const server = await startRedis({ after })

test('entries of a consumer that XGROUP DELCONSUMER removed are unaccounted, not lost, and become jobs by the command reported', async (t) => {
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
  const found = await eventually(async () => {
    const ledger = await readLedger(redis, place)
    assert.deepEqual([ledger?.lost, ledger?.unaccounted], [0, held])
    return ledger
  })
  await redis.xgroup('SETID', place.stream, place.group, found?.from ?? '')
  await eventually(async () => assertOnce(await fixture.jobs(), 6))
  assert.equal(await auditLedger(redis, place), 0)
})
