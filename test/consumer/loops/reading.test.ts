import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { failure } from '../../../api/errors.ts'
import { createHeldEntries } from '../../../consumer/held.ts'
import { reading } from '../../../consumer/loops/reading.ts'
import { createSemaphore } from '../../../process/semaphore.ts'
import type { Delivery } from '../../../redis/stream/pending.ts'
import { createClockwork } from './clockwork.ts'

const entry = (id: string): Delivery => ({ id, fields: [], deliveries: 1 })

/** Reads that a test answers, one by one. */
function run(t: TestContext, slots = 2) {
  const work = createClockwork()
  const held = createHeldEntries()
  const reads: PromiseWithResolvers<readonly Delivery[]>[] = []
  const batches: PromiseWithResolvers<void>[] = []
  const crashes: unknown[] = []
  const semaphore = createSemaphore(slots)
  const loop = reading(
    {
      ...work,
      held,
      slots: semaphore,
      read: () => {
        const asked = Promise.withResolvers<readonly Delivery[]>()
        reads.push(asked)
        return asked.promise
      },
      settle: () => {
        const batch = Promise.withResolvers<void>()
        batches.push(batch)
        return batch.promise
      },
      observeQueue: async () => {},
      crash: (thrown) => void crashes.push(thrown),
    },
    Promise.resolve(),
  )
  t.after(async () => {
    work.drain()
    for (const { resolve } of reads) resolve([])
    await loop
  })
  const answer = async (ids: readonly string[]) => {
    reads.at(-1)?.resolve(ids.map(entry))
    await work.pass(1)
  }
  return { ...work, held, reads, batches, crashes, answer }
}

test('the next read goes out while a batch settles, as long as a slot is free', async (t) => {
  const { pass, reads, batches, held, answer } = run(t)
  await pass(1)
  await answer(['1-1', '1-2'])
  assert.deepEqual([reads.length, batches.length, held.size], [2, 1, 2])
  await answer(['2-1'])
  assert.deepEqual([reads.length, batches.length, held.size], [2, 2, 3], 'both slots are taken')
  batches[0]?.resolve()
  await pass(1)
  assert.equal(reads.length, 3)
})

test('an empty read frees its slot', async (t) => {
  const { pass, reads, batches, answer } = run(t, 1)
  await pass(1)
  await answer([])
  await answer([])
  assert.deepEqual([reads.length, batches.length], [3, 0])
})

test('a failed read is an outage, and no read goes out before it ends', async (t) => {
  const { pass, reads, lifecycle } = run(t)
  await pass(1)
  reads[0]?.reject(failure('RedisUnreachable', { address: 'redis:6379', detail: 'cut' }))
  await pass(10_000)
  assert.deepEqual([lifecycle.state.kind, reads.length], ['BackendDown', 1])
  lifecycle.dispatch({ kind: 'BackendAnswered' })
  await pass(1)
  assert.equal(reads.length, 2)
})

test('a bug while a batch settles is reported, and its slot stays taken', async (t) => {
  const { pass, batches, crashes, answer } = run(t)
  await pass(1)
  await answer(['1-1'])
  batches[0]?.reject(new Error('a bug'))
  await pass(1)
  assert.deepEqual(crashes.map(String), ['Error: a bug'])
})

test('a read that draining cut is no outage', async (t) => {
  const { pass, reads, lifecycle, drain } = run(t)
  await pass(1)
  drain()
  reads[0]?.reject(failure('RedisUnreachable', { address: 'redis:6379', detail: 'cut' }))
  await pass(1)
  assert.deepEqual([lifecycle.state.kind, reads.length], ['Draining', 1])
})
