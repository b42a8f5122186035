/** The comparison with a committed run: noise is no fall, and a fall is found. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { compare, comparisonText } from '../../../bench/forward/comparison.ts'

const run = (figure: string, rounds: readonly number[], judged = true) => ({
  judged,
  ...(judged ? {} : { reason: 'load' }),
  rounds: { [figure]: rounds },
})

const rate = 'ratios.overAddBulk'
const cost = 'ratios.redisCpuOverAddBulk'
const committed = [1.1, 1.2, 1.2, 1.25, 1.3]

const fallen = (figure: string, before: readonly number[], after: readonly number[]) => {
  const found = compare(run(figure, after), run(figure, before))
  assert.equal(found.kind, 'Compared')
  return found.kind === 'Compared' && found.fallen.length > 0
}

const cases: readonly (readonly [title: string, figure: string, after: readonly number[], isFall: boolean])[] = [
  ['the same is no fall', rate, committed, false],
  ['a better ratio is no fall', rate, [2, 2, 2, 2, 2], false],
  ['one good round among bad ones is no fall', rate, [0.5, 0.5, 0.5, 0.5, 1.2], false],
  ['all rounds a little worse are no fall', rate, [1.05, 1.06, 1.07, 1.08, 1.09], false],
  ['all rounds much worse are a fall', rate, [0.8, 0.9, 0.9, 0.9, 1.0], true],
  ['a cost that is smaller is no fall', cost, [0.5, 0.5, 0.5, 0.5, 0.5], false],
  ['a cost that is greater is one', cost, [1.5, 1.5, 1.5, 1.5, 1.6], true],
]

for (const [title, figure, after, isFall] of cases) {
  test(title, () => assert.equal(fallen(figure, committed, after), isFall))
}

test('a run that was not judged is not compared, and the reason is reported', () => {
  const busy = run(rate, [0.1], false)
  for (const found of [compare(busy, run(rate, committed)), compare(run(rate, committed), busy)]) {
    assert.equal(found.kind, 'NotJudged')
    assert.match(comparisonText(found), /not compared with the committed run: .*load/)
  }
})

test('figures that only one of the runs has are left out', () => {
  const found = compare(run('other', [1]), run(rate, committed))
  assert.deepEqual(found, { kind: 'Compared', figures: 0, fallen: [] })
})

test('the text names the figure, before and now', () => {
  const found = compare(run(rate, [0.5, 0.5, 0.5]), run(rate, [1, 1, 1]))
  assert.match(comparisonText(found), /1 of 1 ratios are worse .*\nratios\.overAddBulk was 1\.000 and is 0\.500/)
})
