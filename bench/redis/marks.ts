/**
 * Memory of a mark, by the server's own account. The product itself writes the marks: batches are forwarded on the atomic path.
 * After each batch its entries and jobs are deleted, so that only marks remain.
 */
import { openPath } from '../../test/paths/fixture.ts'
import { startRedis } from '../../test/support/redis.ts'
import { entryFields, names } from '../forward/workload.ts'
import { infoNumber } from '../support/redisinfo.ts'
import { createScope } from '../support/scope.ts'
import { forwardEntries } from './settling.ts'

const batchSize = 1_000

/** @returns bytes */
export async function bytesPerMark(marks: number): Promise<number> {
  const scope = createScope()
  try {
    const server = await startRedis(scope)
    const path = await openPath(scope, 'Atomic', { stream: server, queue: server }, { name: names.queue, ...places })
    const forward = async (from: number) => {
      const entries = Array.from({ length: batchSize }, (_, index) => entryFields('200B', from + index))
      await forwardEntries(path, entries)
      const jobs = await path.live()
      const rest = ['wait', 'events', 'marker'].map((end) => path.queueKey + end)
      await path.stream.del(...jobs.map((id) => path.queueKey + id), ...rest)
      await path.stream.xtrim(path.place.stream, 'MAXLEN', 0)
    }
    const used = async () => {
      const memory = await path.stream.info('memory')
      // Buffers of connections vary with the last command.
      return infoNumber(memory, 'used_memory') - (infoNumber(memory, 'mem_clients_normal') || 0)
    }
    // Scripts, the group and the consumer are there before the first reading.
    await forward(0)
    const keysBefore = await path.stream.dbsize()
    const before = await used()
    for (let from = batchSize; from <= marks; from += batchSize) await forward(from)
    const after = await used()
    const keys = (await path.stream.dbsize()) - keysBefore
    if (keys > marks) throw new Error(`${keys} keys are left by ${marks} entries: not marks alone`)
    return (after - before) / marks
  } finally {
    await scope.close()
  }
}

/** Names as a user has them: the length of its key is part of a mark's memory. */
const places = { source: { stream: names.stream }, key: ['request_hash'] } as const
