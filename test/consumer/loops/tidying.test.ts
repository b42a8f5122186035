import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type TidyingParts, tidying } from '../../../consumer/loops/tidying.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { createClockwork } from './clockwork.ts'

/** A connection that refuses to be used, since no round may run. */
const untouched = new Proxy({}, { get: (_, name) => assert.fail(`the loop used ${String(name)}`) }) as TidyingParts['connection']

for (const settled of [0, 5]) {
  test(`in an outage the loop turns once a second, with ${settled} entries settled before`, async () => {
    const work = createClockwork()
    let turns = 0
    const clock: TidyingParts['clock'] = {
      ...work.clock,
      after(ms, call) {
        turns += 1
        return work.clock.after(ms, call)
      },
    }
    work.fail()
    const loop = tidying({
      ...{
        pipeline: pipelineWith(),
        connection: untouched,
        place: {} as TidyingParts['place'],
        lifecycle: work.lifecycle,
        clock,
      },
      ...{ sweeper: undefined, settled: () => settled, report: () => assert.fail('no round ran') },
    })
    await work.pass(60_000)
    assert.ok(turns >= 55 && turns <= 65, `${turns} turns in a minute`)
    work.drain()
    await loop
    assert.equal(work.clock.waiting, 0)
  })
}
