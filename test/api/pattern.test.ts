import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePattern } from '../../api/validation/pattern.ts'
import '../support/leaks.ts'

const hostile = [
  ['^(a+)+$', `${'a'.repeat(40)}!`],
  ['^(a|a)*$', `${'a'.repeat(20_000)}!`],
  ['(x+x+)+y', 'x'.repeat(5_000)],
  ['^([a-z]+)*\\d$', `${'a'.repeat(60)}!`],
  ['\\s+$', `${' '.repeat(20_000)}x`],
] as const

for (const [pattern, text] of hostile) {
  test(`${pattern} answers a hostile text in bounded time`, () => {
    // CPU time of this thread, not wall time beside other work.
    const begun = process.cpuUsage()
    assert.equal(compilePattern(pattern).test(text), false)
    const { user, system } = process.cpuUsage(begun)
    assert.ok(user + system < 2_000_000)
  })
}

for (const pattern of ['^(?=a)b', '^(a)\\1$', '(a{1,100}){1,100}', '(?<!x)y']) {
  test(`${pattern} is refused with the way out`, () => {
    assert.throws(() => compilePattern(pattern), /linear time .*write it without lookaround/)
  })
}

test('both engines agree with V8 on ordinary patterns', () => {
  const patterns = [
    '^[0-9a-f]{64}$',
    '^[a-z]+$',
    '[a-z]+@[a-z]+\\.org',
    '^a?b{2,3}c*$',
    '^(red|green)-[0-9]{1,4}$',
    '^\\d{4}-\\d{2}$',
    '^.$',
  ]
  const texts = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', 'c', '0', '9', '-', '@', '.', 'é', '𝒳'), maxLength: 12 }),
    fc.constantFrom('f'.repeat(64), 'red-12', 'green-9999', '2026-11', 'abbc', 'a@b.org'),
  )
  fc.assert(
    fc.property(fc.constantFrom(...patterns), texts, (pattern, text) => {
      assert.equal(compilePattern(pattern).test(text), new RegExp(pattern, 'u').test(text))
    }),
    { numRuns: 2_000 },
  )
})
