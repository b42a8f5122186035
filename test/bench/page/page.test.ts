/** docs/performance.md and its plots are those of the run beside it, and say so where that run was not judged. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { pageFiles, readRun } from '../../../bench/page/files.ts'
import { begin, end, measuredPart, replaceMeasured } from '../../../bench/page/page.ts'

const run = readRun()

test('page and plots are written from the run: `npm run bench -- page` writes them again', () => {
  const files = pageFiles(run)
  assert.equal(files.size, 1 + run.curves.length)
  for (const [path, text] of files) assert.equal(readFileSync(path, 'utf8'), text, path)
})

test('a run that was not judged says so, with the reason, and no bar is missed', () => {
  const bars = run.bars.map((bar) => ({ ...bar, verdict: 'not judged' as const }))
  const text = measuredPart({ ...run, judged: false, reason: 'other programs computed', bars })
  assert.match(text, /\*\*This run is not judged: other programs computed\.\*\*/)
  assert.doesNotMatch(text, /The machine was quiet/)
  assert.doesNotMatch(text, /missed|\| kept/)
})

test('a missed bar is printed', () => {
  const [first] = run.bars
  assert.ok(first)
  assert.match(measuredPart({ ...run, judged: true, bars: [{ ...first, verdict: 'missed' }] }), /\*\*missed\*\*/)
})

test('a contender that was left out is named, with the reason', () => {
  const skipped = [{ contender: 'article in Python', reason: 'no Python here' }] as const
  assert.match(measuredPart({ ...run, skipped }), /\*\*article in Python\*\* was left out: no Python here/)
})

test('only the part between the marks is replaced', () => {
  assert.equal(replaceMeasured(`a\n${begin}\nold\n${end}\nz`, 'new'), `a\n${begin}\n\nnew\n${end}\nz`)
  assert.throws(() => replaceMeasured('no marks', 'new'), /has no line/)
})
