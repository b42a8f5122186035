/** Waiting jobs of a queue hold readers back, in each of the waiting states of BullMQ. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { CompiledJobOptions } from '../../../api/compiled.ts'
import { openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

const states: [state: string, jobOptions: Partial<CompiledJobOptions>][] = [
  ['wait', {}],
  ['are prioritised', { priority: 7 }],
  ['are delayed', { delay: 3_600_000 }],
  ['wait in a paused queue', {}],
]

for (const kind of pathKinds) {
  describe(`${kind}: each job that no worker has taken yet counts as waiting`, () => {
    for (const [state, jobOptions] of states) {
      test(`jobs that ${state}`, async (t) => {
        const path = await openPath(t, kind, servers, { jobOptions })
        if (state.includes('paused')) await path.queue.pause()
        await path.putKeys(...Array.from({ length: 20 }, (_, i) => `k${i}`))
        await path.settle(await path.read())
        assert.equal((await path.live()).length, 20)
        assert.equal(await path.connections.path.waiting(), 20, 'asked by itself')
        // The portable path counts before it adds, the others afterwards.
        await path.putKeys('one more')
        const { waiting } = await path.settleWith((await path.read()).map(path.judge))
        assert.ok(waiting === 20 || waiting === 21, `told with a batch: ${waiting}`)
      })
    }
  })
}
