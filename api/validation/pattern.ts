/**
 * Regular expressions of payload schemas, in linear time. A pattern such as `^(a+)+$` takes a backtracking engine longer than
 * the universe on thirty hostile characters, and a consumer that hangs on one entry is a poison no delivery count cures. So
 * patterns run on RE2's algorithm (re2js), which knows neither lookaround nor back-references: a schema that uses them is
 * refused, with `not` as the way out.
 *
 * The engine costs some 6 µs where V8 takes half of one (64 hex digits, measured). Patterns that cannot backtrack by their form
 * (anchored, nothing but single characters and classes, at most one of them of variable length) therefore stay with V8.
 */
import { RE2JS } from 're2js'

interface Matcher {
  test(text: string): boolean
  toString(): string
}

/** @throws Error that says what in the pattern cannot be used */
export function compilePattern(pattern: string): Matcher {
  const native = new RegExp(pattern, 'u')
  if (cannotBacktrack(pattern)) return native
  try {
    const linear = RE2JS.compile(RE2JS.translateRegExp(pattern))
    // ajv keeps one matcher per text of its own: without one, all patterns of a schema would be the first.
    return { test: (text) => linear.matcher(text).find(), toString: () => `/${pattern}/linear` }
  } catch (thrown) {
    const detail = thrown instanceof Error ? thrown.message.replace(/^error parsing regexp: /, '') : String(thrown)
    throw new Error(
      `pattern ${JSON.stringify(pattern)} cannot be run in linear time (${detail}): write it without lookaround, back-references and repeated repeats, or use not, anyOf, minLength`,
      { cause: thrown },
    )
  }
}

/** One character, escape or class, with a quantifier or without. */
const atom =
  /\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[^kpPux0-9]|\[(?:\\.|[^\]\\])*\]|[^\\()[\]{}|*+?^$]/y
const quantifier = /(?:\{(\d+)(,(\d*))?\}|[*+?])\??/y

function cannotBacktrack(pattern: string): boolean {
  if (!pattern.startsWith('^')) return false
  const end = pattern.endsWith('$') && !pattern.endsWith('\\$') ? pattern.length - 1 : pattern.length
  let variable = 0
  let at = 1
  while (at < end) {
    atom.lastIndex = at
    if (!atom.test(pattern)) return false
    at = atom.lastIndex
    quantifier.lastIndex = at
    const repeat = quantifier.exec(pattern)
    if (repeat === null) continue
    at = quantifier.lastIndex
    if (repeat[1] === undefined || repeat[2] !== undefined) variable += 1
  }
  return at === end && variable <= 1
}
