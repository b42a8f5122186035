/**
 * The bound on the cost of judging one payload. Any producer may send a payload, and a schema may make a small payload costly. References
 * that lead twice to one place double the work at each level. A thousand patterns may search one text. The costly steps are counted, and
 * the count has an end.
 */

/** Most references that ajv follows, or schemas that a judge of ours evaluates: tens of milliseconds to a second. */
const maxSteps = 100_000
/**
 * Characters that patterns may read in linear time: seconds at most. In addition, patterns may read the longest text a few times.
 */
const maxCharacters = 8 * 2 ** 20
const readingsOfOneText = 4
/** Cost of one character in V8's own engine. In the linear engine it costs 1: V8 reads 32 characters in that time. */
const native = 1 / 32

export const costOf = (matcher: RegExp | { readonly readings: number }): number =>
  matcher instanceof RegExp ? native : matcher.readings

export class BudgetSpent extends Error {}

export interface Budget {
  start(): void
  step(): void
  /** Counts characters, each at the cost of one reading by the linear engine. */
  read(characters: number): void
  /** Counts characters that are only passed over: formats, serialized values. */
  scan(characters: number): void
}

export function createBudget(stepLimit: number = maxSteps): Budget {
  let steps = 0
  let characters = 0
  let longest = 0
  const read = (length: number) => {
    characters += length
    if (length > longest) longest = length
    if (characters > maxCharacters + readingsOfOneText * longest) throw new BudgetSpent()
  }
  return {
    start() {
      steps = 0
      characters = 0
      longest = 0
    },
    step() {
      steps += 1
      if (steps > stepLimit) throw new BudgetSpent()
    },
    read,
    scan: (length) => read(length * native),
  }
}
