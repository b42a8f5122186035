/**
 * What judging one payload may cost. A payload comes from anybody, and a schema may make little of it cost much: references that
 * lead twice to the same place double the work at each level, and a text may be searched by a thousand patterns. What costs is
 * counted, and there is an end.
 */

/** Passings of a reference, or of a schema where each is counted: tens of milliseconds to a second. */
const maxSteps = 100_000
/** Characters that patterns may read in linear time: seconds at most. A single long text may be read some times all the same. */
const maxCharacters = 8 * 2 ** 20
const readingsOfOneText = 4
/** V8's own engine reads so many characters while the linear one reads one. */
const native = 1 / 32

export const costOf = (matcher: object): number => (matcher instanceof RegExp ? native : 1)

export class BudgetSpent extends Error {}

export interface Budget {
  start(): void
  step(): void
  /** Characters, each as dear as for a pattern in linear time. */
  read(characters: number): void
  /** Characters that are only gone through: formats, values written out. */
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
