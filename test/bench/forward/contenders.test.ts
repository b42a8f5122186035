/** Each contender of the bench is what it says: it makes one job of each request, with the same data and options. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { Queue } from 'bullmq'
import type { Bench } from '../../../bench/forward/bench.ts'
import { bundleConsumer } from '../../../bench/forward/bundle.ts'
import { type Contender, contenders, kinds } from '../../../bench/forward/contenders.ts'
import { measure } from '../../../bench/forward/measure.ts'
import { knownPeer } from '../../../bench/forward/peers.ts'
import { jobOptions, names, payload } from '../../../bench/forward/workload.ts'
import { startRedis } from '../../support/redis.ts'

/** Three batches are in flight at once, and another must come after them. */
const countOf = (contender: Contender) => (contender === 'addBulk x3' ? 400 : 120)

for (const contender of contenders) {
  const { needs } = kinds[contender]
  const folder = needs === undefined ? undefined : knownPeer(needs)
  const skip = needs !== undefined && folder === undefined && 'npm run bench has not installed its programs here'
  test(`${contender} makes one job of each request`, { skip, timeout: 180_000 }, async (t) => {
    const count = countOf(contender)
    const server = await startRedis(t)
    const program = contender === 'streampipeline' ? await bundleConsumer(t) : ''
    const bench: Bench = {
      ...{ server, program, consumerFlags: [], consumerEnvironment: {} },
      peers: needs === undefined || folder === undefined ? {} : { [needs]: folder },
    }
    const found = await measure(bench, { contender, payload: '1KiB', count, port: server.port })
    assert.ok(found.perSecond > 0)
    assert.ok(found.redisMicroseconds > 0)
    const redis = server.client({ maxRetriesPerRequest: null })
    const queue = new Queue<ReturnType<typeof payload>>(names.queue, { connection: redis, prefix: names.prefix })
    const jobs = await queue.getJobs(['waiting'], 0, -1)
    await queue.close()
    const hashes = new Set(jobs.map(({ data }) => data.request_hash))
    assert.equal(jobs.length, count)
    assert.equal(hashes.size, count)
    for (const { name, opts, data } of jobs) {
      assert.equal(name, names.jobName)
      assert.equal(opts.attempts, jobOptions.attempts)
      assert.deepEqual(opts.removeOnComplete, jobOptions.removeOnComplete)
      // The article's loop hands texts on; the others keep numbers.
      assert.deepEqual(Object.keys(data).toSorted(), Object.keys(payload('1KiB', 0)).toSorted())
    }
  })
}
