/**
 * Decimal numbers that a double holds without a change that a person would notice. JSON.parse makes a double of a number, and a worker
 * receives that double. A number that it cannot hold must therefore be refused rather than rounded.
 *
 * - An integer is held where the double equals it: `9007199254740992` is, `9007199254740993` is not, in any spelling.
 * - A decimal fraction is held where it has at most 17 significant digits: a double is printed so (`%.17g`) to be read back.
 * - From 10^17 on, a double is printed with an exponent, and so a number with an exponent counts as a printed double. Such a number is
 *   held if the nearest double, printed with as many digits, is the same text. So `1e23` is held, though no double equals it.
 * - A number that overflows is not held, and only zero may become zero.
 */

const mostDigits = 17
/** Below it 17 digits spell out an integer. */
const printedWhole = 1e17

/** @param text a number as JSON spells it */
export function isHeld(text: string): boolean {
  // Fifteen digits always survive, unless an exponent takes them out of range.
  if (text.length <= 15 && !/[eE]/.test(text)) return true
  const parts = /^-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(text)
  if (parts === null) return false
  const [, whole = '', fraction = '', power = '0'] = parts
  const { digits, trailing } = significant(whole + fraction)
  if (digits === '') return true
  const value = Math.abs(Number(text))
  if (digits.length > mostDigits || !Number.isFinite(value) || value === 0) return false
  /** The number is `digits` × 10^exponent. */
  const exponent = Number(power) - fraction.length + trailing
  if (exponent >= 0 && (value < printedWhole || parts[3] === undefined)) {
    return BigInt(value) === BigInt(digits) * 10n ** BigInt(exponent)
  }
  if (value < Number.MAX_SAFE_INTEGER) return true
  return (
    value
      .toExponential(digits.length - 1)
      .replace(/e.*$/, '')
      .replace('.', '') === digits
  )
}

/** Digits without zeros around them. It uses no pattern: one for the last zeros takes quadratic time. */
function significant(all: string): { readonly digits: string; readonly trailing: number } {
  let [start, end] = [0, all.length]
  while (start < end && all[start] === '0') start++
  while (end > start && all[end - 1] === '0') end--
  return { digits: all.slice(start, end), trailing: all.length - end }
}

/** JSON's form of a number. */
export const numberForm = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/

/** A double as text that `isHeld` accepts: JavaScript spells large integers with zeros in place of digits. */
export function spelled(value: number): string {
  const usual = JSON.stringify(value)
  return Number.isSafeInteger(value) || !Number.isInteger(value) || isHeld(usual) ? usual : value.toExponential(mostDigits - 1)
}
