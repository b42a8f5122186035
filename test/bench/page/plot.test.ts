/** The plots of docs/performance.md: every measured point lies inside the frame, whatever the figures are. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Curve } from '../../../bench/forward/curves.ts'
import { plot } from '../../../bench/page/plot.ts'
import { scaleOf } from '../../../bench/page/scale.ts'
import { seed } from '../../support/seed.ts'

const curve = (points: Curve['series'][number]['points'], scale: 'Linear' | 'Log' = 'Linear'): Curve => ({
  name: 'load',
  title: 'Rate by `batch` & "more" <x>',
  x: { label: 'x', scale: 'Linear' },
  y: { label: 'y', scale },
  series: [{ label: 'first', points }],
})

const numbersIn = (svg: string, attribute: string) =>
  [...svg.matchAll(new RegExp(`<circle[^>]* ${attribute}="([^"]+)"`, 'g'))].map(([, value]) => Number(value))

test('every point lies inside the frame, and no number is broken', () => {
  const value = fc.double({ min: 0.001, max: 1e9, noNaN: true })
  const points = fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(points, fc.constantFrom('Linear', 'Log'), (given, scale) => {
      const svg = plot(curve(given, scale))
      assert.doesNotMatch(svg, /NaN|Infinity|undefined/)
      // The first circle is the legend's.
      assert.ok(numbersIn(svg, 'cx').every((x) => x >= 0 && x <= 720))
      assert.ok(numbersIn(svg, 'cy').every((y) => y >= 0 && y <= 420))
      assert.equal(numbersIn(svg, 'cx').length, given.length + 1)
    }),
    { seed },
  )
})

test('a figure that was not measured, null in the JSON, leaves a gap', () => {
  const svg = plot(
    curve([
      [1, 1],
      [2, null as unknown as number],
      [3, 3],
    ]),
  )
  assert.equal(numbersIn(svg, 'cx').length, 3)
  assert.doesNotMatch(svg, /NaN|null/)
})

test('text is escaped, and the picture has colours for dark surroundings and a background of its own', () => {
  const svg = plot(curve([[1, 1]]))
  assert.match(svg, />Rate by batch &amp; &quot;more&quot; &lt;x></)
  assert.match(svg, /prefers-color-scheme: dark/)
  assert.match(svg, /<rect class="back"/)
})

test('an axis of lengths begins at 0 and ends at a round number', () => {
  assert.deepEqual(scaleOf([3, 11_000], 'Linear', [0, 100], 'Zero').ticks, [0, 5_000, 10_000, 15_000])
  assert.deepEqual(scaleOf([300, 20_000], 'Log', [0, 100], 'Zero').ticks, [100, 1_000, 10_000, 100_000])
  assert.deepEqual(scaleOf([0, 1, 2, 10], 'Linear', [0, 100], 'Data').ticks, [0, 1, 2, 10])
})
