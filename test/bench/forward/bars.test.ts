/** The bars of the bench: what is missed, and that a machine which was not quiet gives no verdict. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { barsOf, type Figures, judgeBars } from '../../../bench/forward/bars.ts'

const good: Figures = {
  ratios: { overAddBulk: 1.15, overAddBulkPipelined: 0.8, overArticleLoopback: 12, overArticle2ms: 140, redisCpuOverAddBulk: 1 },
  latency: { p50Ms: 2, p99Ms: 10, controlP99Ms: 1 },
  memory: { peakMiB: 118, peakLargeMiB: 192 },
  dispatch: { overXadd: 2, overXadd2ms: 1.05, manyOverPipelined: 0.7 },
  library: { importMs: 100, firstDispatchMs: 500, installedMiB: 15 },
}

const verdicts = (figures: Figures, judged = true) =>
  judgeBars(barsOf(figures), judged ? { judged } : { judged: false, reason: 'load' })

const missed = (figures: Figures) => verdicts(figures).flatMap(({ figure, verdict }) => (verdict === 'missed' ? [figure] : []))

test('a figure at its bar is kept', () => {
  assert.deepEqual(missed(good), [])
  assert.ok(verdicts(good).every(({ verdict }) => verdict === 'kept'))
})

test('each figure is missed just beyond its bar', () => {
  for (const { figure, sign, bar } of barsOf(good)) {
    const [group = '', name = ''] = figure.split('.')
    const worse = sign === '≥' ? bar - 0.01 : bar + 0.01
    const figures = { ...good, [group]: { ...Reflect.get(good, group), [name]: worse } } as Figures
    assert.deepEqual(missed(figures), [figure])
  }
})

test('a slow machine is not blamed on the consumer: a p99 of three times the control’s keeps the bar', () => {
  const tail = (p99Ms: number) => ({ ...good, latency: { p50Ms: 2, p99Ms, controlP99Ms: 12 } })
  assert.deepEqual(missed(tail(36)), [])
  assert.deepEqual(missed(tail(37)), ['latency.p99Ms'])
})

test('without a quiet machine nothing is missed', () => {
  const bad = { ...good, ratios: { ...good.ratios, overAddBulk: 0.1 } }
  assert.ok(verdicts(bad, false).every(({ verdict }) => verdict === 'not judged'))
})

test('a figure that could not be measured is neither kept nor missed', () => {
  const unknown = { ...good, ratios: { ...good.ratios, redisCpuOverAddBulk: Number.NaN } }
  assert.deepEqual(
    verdicts(unknown).flatMap(({ figure, verdict }) => (verdict === 'not measured' ? [figure] : [])),
    ['ratios.redisCpuOverAddBulk'],
  )
})
