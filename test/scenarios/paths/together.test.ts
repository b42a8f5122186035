/** Direct dispatch and Stream at once, as during a flip of the mode, with workers that forget their jobs: each key runs once. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { Worker } from 'bullmq'
import { openPath, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

/** STREAMPIPELINE_KEYS=100000 for a trial. */
const count = Number(process.env['STREAMPIPELINE_KEYS'] ?? 3_000)

let servers: Servers
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { stream, queue }
})

for (const kind of pathKinds) {
  test(`${kind}: ${count} keys dispatched both ways at once are executed once each`, async (t) => {
    const path = await openPath(t, kind, servers, { jobOptions: { removeOnComplete: true } })
    const executions = new Map<string, number>()
    const execute = async ({ data }: { data: { k: string } }) => {
      executions.set(data.k, (executions.get(data.k) ?? 0) + 1)
    }
    const worker = new Worker(path.target.queue, execute, {
      connection: path.queueServer.client({ maxRetriesPerRequest: null }),
      prefix: path.target.prefix,
      concurrency: 200,
    })
    worker.on('error', () => undefined)
    t.after(() => worker.close())
    const keys = Array.from({ length: count }, (_, i) => `k${i}`)
    for (let at = 0; at < count; at += 1_000) await path.putKeys(...keys.slice(at, at + 1_000))

    let forwarded = 0
    const consume = async (name: string) => {
      const { path: settlePath } = await path.openSettlePath()
      for (;;) {
        let rest = await path.read(name, 50)
        if (rest.length === 0) return
        while (rest.length > 0) {
          const outcomes = await path.settle(rest, settlePath)
          forwarded += outcomes.filter(({ kind: outcome }) => outcome === 'forwarded').length
          rest = rest.filter((_, index) => outcomes[index]?.kind === 'contended')
        }
      }
    }
    const dispatch = async (order: readonly string[]) => {
      const { forward } = await path.direct()
      for (let at = 0; at < order.length; at += 25) {
        let rest = order.slice(at, at + 25)
        while (rest.length > 0) {
          const outcomes = await forward(...rest)
          forwarded += outcomes.filter(({ kind: outcome }) => outcome === 'Forwarded').length
          rest = rest.filter((_, index) => outcomes[index]?.kind === 'Contended')
        }
      }
    }
    await Promise.all([consume('one'), consume('two'), dispatch(keys), dispatch(keys.toReversed())])
    assert.equal(forwarded, count)
    await eventually(() => executions.size === count, { timeoutMs: 60_000 + count })
    await eventually(async () => (await path.live()).length === 0)
    assert.deepEqual(
      [...executions].filter(([, times]) => times !== 1),
      [],
    )
    assert.deepEqual([await path.pending(), await path.dead()], [[], []])
  })
}
