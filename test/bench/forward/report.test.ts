/** The bench's JSON: the names that programs read, ratios within a round, and that a reduced run is not judged. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Contender } from '../../../bench/forward/contenders.ts'
import { type Distance, fullPlan, jobsOf, quickPlan, reduced } from '../../../bench/forward/plan.ts'
import { type Measured, report, type Sample } from '../../../bench/forward/report.ts'
import { table } from '../../../bench/forward/table.ts'

const sample = (contender: Contender, round: number, perSecond: number, more: Partial<Sample> = {}): Sample => ({
  ...{ payload: '1KiB', distance: 'loopback', contender, round, perSecond },
  ...{ redisMicroseconds: 30, peakResidentBytes: 100 * 2 ** 20 },
  ...more,
})

/** Each round has a machine of another speed. The ratios of the three rounds are 2, 3 and 4. */
const samples: readonly Sample[] = [
  ...[1, 2, 3].flatMap((round) => [
    sample('streampipeline', round, 1_000 * round * (round + 1), { redisMicroseconds: 15, peakResidentBytes: round * 2 ** 20 }),
    sample('addBulk', round, 1_000 * round),
    sample('addBulk x3', round, 2_000 * round * (round + 1)),
    sample('article', round, 100 * round),
  ]),
  ...(['streampipeline', 'article'] as const).map((contender) =>
    sample(contender, 1, contender === 'article' ? 10 : 1_500, { distance: '2ms' }),
  ),
  // Other payloads have no part in the bars.
  sample('streampipeline', 1, 1, { payload: '64KiB', peakResidentBytes: 500 * 2 ** 20 }),
  sample('addBulk', 1, 1_000, { payload: '64KiB' }),
]

const measured: Measured = {
  samples,
  calibrations: [[{ wallMs: 100, cpuMs: 100 }]],
  latency: { perSecond: 100, p50Ms: 2, p99Ms: 9, controlP50Ms: 1, controlP99Ms: 3, rounds: [] },
  peakLargeBytes: 150 * 2 ** 20,
  dispatch: {
    ...{ overXadd: 1.5, overXadd2ms: 1.01, manyOverPipelined: 0.8, dispatchMs: 0.06, xaddMs: 0.04 },
    rounds: { overXadd: [1.4, 1.5, 1.6], overXadd2ms: [1.01], manyOverPipelined: [0.8] },
  },
  firstUse: { peersMs: 300, importMs: 50, firstDispatchMs: 100 },
  installedBytes: 10 * 2 ** 20,
  skipped: [{ contender: 'article in Python', reason: 'no Python here' }],
  curves: [],
  circumstances: {
    ...{
      form: 'quick',
      reduced: false,
      processors: 2,
      node: 'v26.10.0',
      redis: '7.0.15',
      measuredRoundTripMs: 2.4,
      budgetMiB: 200,
    },
    ...{ consumerFlags: [], consumerEnvironment: {} },
  },
}

test('a ratio is the median of those within a round, at 1 KiB', () => {
  assert.deepEqual(report(measured).ratios, {
    overAddBulk: 3,
    overAddBulkPipelined: 0.5,
    overArticleLoopback: 30,
    overArticle2ms: 150,
    redisCpuOverAddBulk: 0.5,
  })
})

test('the figures stand where programs look for them', () => {
  const { judged, latency, memory, dispatch, library, bars } = report(measured)
  assert.equal(judged, true)
  assert.deepEqual([latency.p50Ms, latency.p99Ms, latency.controlP99Ms], [2, 9, 3])
  // The greatest of all rounds with 1 KiB, at both distances.
  assert.deepEqual(memory, { peakMiB: 100, peakLargeMiB: 150 })
  assert.deepEqual([dispatch.overXadd, dispatch.overXadd2ms, dispatch.manyOverPipelined], [1.5, 1.01, 0.8])
  assert.deepEqual([library.importMs, library.firstDispatchMs, library.installedMiB], [50, 100, 10])
  assert.deepEqual(
    bars.flatMap(({ figure, verdict }) => (verdict === 'missed' ? [figure] : [])),
    ['ratios.overAddBulkPipelined'],
  )
})

test('the table names a missed bar, and a contender that was left out', () => {
  const text = table(report(measured))
  assert.match(text, /three in flight +0\.5 ×.* MISSED/)
  assert.match(text, /article in Python was left out: no Python here/)
  assert.match(text, /The machine was quiet\./)
})

test('on a busy machine nothing is missed, and the reason is printed', () => {
  const busy = report({ ...measured, calibrations: [[{ wallMs: 300, cpuMs: 100 }]] })
  assert.equal(busy.judged, false)
  assert.match(busy.reason ?? '', /other programs used the processors/)
  assert.doesNotMatch(table(busy), /MISSED|\bok\b/)
  assert.match(table(busy), /NOT JUDGED: other programs/)
})

test('a reduced run is not judged', () => {
  const small = report({ ...measured, circumstances: { ...measured.circumstances, reduced: true } })
  assert.equal(small.judged, false)
  assert.match(small.reason ?? '', /reduced/)
})

test('every figure of a comparison has its rounds', () => {
  const { rounds } = report(measured)
  assert.deepEqual(rounds['ratios.overAddBulk'], [2, 3, 4])
  assert.deepEqual(rounds['dispatch.overXadd'], [1.4, 1.5, 1.6])
})

test('each form has at least five rounds, and every contender has jobs at every distance', () => {
  for (const plan of [quickPlan, fullPlan]) {
    assert.ok(plan.rounds >= 5 && plan.latency.rounds >= 5 && plan.dispatch.rounds >= 5)
    for (const [distance, contenders] of Object.entries(plan.contenders) as [Distance, readonly Contender[]][]) {
      for (const contender of contenders) {
        assert.ok(jobsOf(plan, contender, '1KiB', distance === '2ms' ? 2 : 0) >= 100, `${contender} ${distance}`)
      }
    }
  }
})

test('a size that is none is refused', () => {
  for (const scale of [0, -1, 2, Number.NaN]) assert.throws(() => reduced(quickPlan, { scale, rounds: undefined }), /--scale/)
  for (const rounds of [0, 1.5, Number.NaN]) assert.throws(() => reduced(quickPlan, { scale: 1, rounds }), /--rounds/)
  assert.equal(reduced(quickPlan, { scale: 1, rounds: undefined }), quickPlan)
})
