/** The trial of scale-downs (`npm run trial -- --scale-downs 1000`), a hundredth of it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runScaleDowns } from '../../../bench/trial/scaledowns.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { seed } from '../../support/seed.ts'

test(
  `fewer pods under load: every entry one job, those with least to do go, nothing is left behind (STREAMPIPELINE_SEED=${seed})`,
  needsControllers,
  async (t) => {
    const reported: string[] = []
    const progress = (line: string) => void reported.push(line)
    const result = await runScaleDowns(t, { scaleDowns: 10, pipelines: 2, processes: false, seed, progress })
    t.diagnostic(JSON.stringify(result))
    assert.ok(result.ok, `${JSON.stringify(result)}\n${reported.join('\n')}`)
    assert.ok(result.podsGone >= 10)
  },
)
