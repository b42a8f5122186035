/** A few of the thousand seeded runs of `npm run trial -- --watch-faults 1000`; a failure names its seed. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { borrowCluster } from '../../operator/cluster.ts'
import { tryWatchFaults } from '../../operator/watchfaults.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { seed } from '../../support/seed.ts'

test(
  'whatever a proxy does to lists, watches and connections, the cache comes to equal the server, mostly within five seconds, no key is lost, and there are two connections at most',
  needsApiServer,
  async (t) => {
    // In the trial each has five seconds; here half of them may meet a moment in which the machine stands still.
    const options = { runs: 16, seed, limitMs: 30_000 }
    const { failures, misdeeds, medianMs, slowestMs } = await tryWatchFaults(await borrowCluster(t), options)
    t.diagnostic(`${JSON.stringify(misdeeds)}, ${slowestMs} ms at most`)
    if (failures[0] !== undefined) throw new Error(`seed ${failures[0].seed}`, { cause: failures[0].error })
    assert.ok(medianMs > 0 && medianMs <= 5_000, `${medianMs} ms`)
    for (const what of ['410', '429', '500', 'stalled', 'connection cut'])
      assert.ok((misdeeds[what] ?? 0) > 0, `${what} was tried`)
  },
)
