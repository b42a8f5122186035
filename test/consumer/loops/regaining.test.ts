import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { regaining } from '../../../consumer/loops/regaining.ts'
import { heartbeatIntervalMs } from '../../../redis/stream/registry.ts'
import { createClockwork } from './clockwork.ts'

test('with each heartbeat lost entries are regained when some are missing, withheld ones are tried again, and an outage stops both', async () => {
  const work = createClockwork()
  const done: string[] = []
  const held = { withheld: 0 }
  let isMissing = false
  const loop = regaining(
    {
      ...work,
      held,
      presence: { missesEntries: () => isMissing },
      regainLost: async () => void done.push('lost'),
      retryWithheld: async () => void done.push('withheld'),
    },
    Promise.resolve(),
  )
  await work.pass(heartbeatIntervalMs)
  assert.deepEqual(done, [])
  isMissing = true
  held.withheld = 3
  await work.pass(heartbeatIntervalMs)
  assert.deepEqual(done, ['lost', 'withheld'])
  work.fail()
  await work.pass(heartbeatIntervalMs * 5)
  assert.equal(done.length, 2)
  work.answer()
  isMissing = false
  await work.pass(heartbeatIntervalMs)
  assert.deepEqual(done, ['lost', 'withheld', 'withheld'])
  work.drain()
  await loop
  assert.equal(work.clock.waiting, 0)
})
