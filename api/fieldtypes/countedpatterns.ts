/** The patterns of a schema, compiled once. The characters that they read are counted: a producer chooses the texts. */
import { costOf } from '../jsonschema/budget.ts'
import { compilePattern } from '../validation/pattern.ts'

export type CountedPatterns = (pattern: string, text: string) => boolean

/** @param read counts characters, each at the cost of one reading by the linear engine. It may throw BudgetSpent */
export function createCountedPatterns(read: (characters: number) => void): CountedPatterns {
  const compiled = new Map<string, ReturnType<typeof compilePattern>>()
  return (pattern, text) => {
    let matcher = compiled.get(pattern)
    if (matcher === undefined) {
      matcher = compilePattern(pattern)
      compiled.set(pattern, matcher)
    }
    read(text.length * costOf(matcher))
    return matcher.test(text)
  }
}
