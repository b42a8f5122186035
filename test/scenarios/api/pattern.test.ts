import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePattern } from '../../../api/validation/pattern.ts'
import '../../support/leaks.ts'

const hostile = [
  ['^(a+)+$', `${'a'.repeat(40)}!`],
  ['^(a|a)*$', `${'a'.repeat(20_000)}!`],
  ['(x+x+)+y', 'x'.repeat(5_000)],
  ['^([a-z]+)*\\d$', `${'a'.repeat(60)}!`],
  ['\\s+$', `${' '.repeat(20_000)}x`],
  ['^(?!.*(?:a|a)*b)(?=(?:a+)+$)a', `${'a'.repeat(20_000)}!`],
  ['(?<=(?:a+)+)b', 'a'.repeat(20_000)],
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

for (const pattern of ['^(a)\\1$', '(?<q>["\'])a\\k<q>', '(a{1,1000}){1,1000}', `${'('.repeat(2_000)}a${')'.repeat(2_000)}`]) {
  test(`${pattern} is refused with the way out`, () => {
    assert.throws(() => compilePattern(pattern), /linear time .*write it without back-references/)
  })
}

/** As generators write them for common formats. */
const looking: readonly (readonly [what: string, pattern: string, accepts: readonly string[], refuses: readonly string[]])[] = [
  [
    'an address of zod 4',
    "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    ['a.b@example.org', 'a+b@example.org'],
    ['.a@example.org', 'a..b@example.org', 'a@b'],
  ],
  [
    'a duration of zod 4',
    '^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$',
    ['P3W', 'P1Y2M', 'PT1H', 'P1DT2.5S'],
    ['P', 'PT', 'P1DT', 'P1W2D'],
  ],
  [
    'a host of zod 4',
    '^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$',
    ['example.org', 'a.b.'],
    ['-a', 'a..b', `${'a.'.repeat(130)}b`],
  ],
  ['a bank code of valibot', '^[A-Z]{6}(?!00)[\\dA-Z]{2}(?:[\\dA-Z]{3})?$', ['DEUTDEFF', 'DEUTDEFF500'], ['DEUTDE00', 'DEUT']],
  ['a password', '^(?=.*[a-z])(?=.*[A-Z])(?=.*\\d).{8,}$', ['Abcdefg1'], ['abcdefg1', 'Abcdefgh', 'Abc1']],
  ['a lookbehind', '(?<!\\d)\\d{3}(?!\\d)', ['a123b', '123'], ['1234', '12']],
  ['looks within looks', '^(?=a(?!b(?=c)))', ['abd', 'ac'], ['abc', 'bc']],
]

for (const [what, pattern, accepts, refuses] of looking) {
  test(`lookaround: ${what}`, () => {
    const matcher = compilePattern(pattern)
    assert.ok(!(matcher instanceof RegExp))
    assert.deepEqual(
      [...accepts, ...refuses].filter((text) => matcher.test(text)),
      accepts,
    )
  })
}

test('patterns that may backtrack judge white space, line ends and surrogate pairs as ECMAScript does', () => {
  for (const [pattern, text] of [
    ['^(?:\\s|x)+$', '\u00a0\ufeff\u2028'],
    ['^(?:\\ud83d\\ude00)+$', '😀😀'],
    ['^(?:[^a]|b){2}$', '😀_'],
    ['^(?:(?i:ab)|c)+$', 'aBc'],
    ['^(?:(?s:.)|a)+$', '\n'],
    ['(?m:^)b(?m:$)', 'a\nb\nc'],
    ['^(?:\\p{Script=Greek}|x)+$', 'αβx'],
  ] as const) {
    assert.equal(compilePattern(pattern).test(text), true, pattern)
  }
  assert.equal(compilePattern('^(?:.|x)+$').test('a\rb'), false)
})

test('both engines agree with V8 on ordinary patterns', () => {
  const patterns = [
    '^[0-9a-f]{64}$',
    '^[a-z]+$',
    '[a-z]+@[a-z]+\\.org',
    '^a?b{2,3}c*$',
    '^(red|green)-[0-9]{1,4}$',
    '^\\d{4}-\\d{2}$',
    '^.$',
    '(?:a|b)+\\b-?(?!9)',
    '^(?=.*9)(?!0).{2,4}$',
    '(?<=a|b)-(?<!a-)',
    '(?:(?=(?<![0-9])a)a|[^a])+$',
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
