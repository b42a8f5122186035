/**
 * Regular expressions of payload schemas, in linear time. On thirty hostile characters, a pattern such as `^(a+)+$` takes a
 * backtracking engine longer than the age of the universe. A consumer that hangs on one entry is a poison that no delivery count
 * cures. So patterns run on an engine of this project, which knows lookaround but no back-references. It judges as V8 does, and V8
 * judges its single characters and classes.
 *
 * The engine costs some 2 µs where V8 takes half of one (short texts, measured). Some patterns cannot backtrack by their form:
 * anchored, only single characters and classes, at most one of them of variable length. They stay with V8.
 */
import { type LinearMatcher, linearMatcher } from '../regexp/linear.ts'
import { NotLinear } from '../regexp/syntax.ts'

type Matcher = RegExp | LinearMatcher

/** @throws Error that says what in the pattern cannot be used */
export function compilePattern(pattern: string): Matcher {
  const native = new RegExp(pattern, 'u')
  if (cannotBacktrack(pattern)) return native
  try {
    return linearMatcher(pattern)
  } catch (thrown) {
    if (!(thrown instanceof NotLinear)) throw thrown
    throw new Error(
      `pattern ${JSON.stringify(pattern)} cannot be run in linear time (${thrown.message}): write it without back-references and repeated repeats, or use not, anyOf, minLength`,
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
