/**
 * A regular expression as steps of a machine that is in many places at once (Thompson's construction). Its size bounds the cost of
 * each character. Each test of a place, such as `^`, `\b` or a lookahead, is one question by number. The run answers it.
 */
import { NotLinear, type Shape } from './syntax.ts'

type Step =
  | { readonly kind: 'Character'; readonly of: number; readonly next: number }
  | { readonly kind: 'Fork'; readonly next: readonly number[] }
  | { readonly kind: 'Ask'; readonly question: number; readonly next: number }
  | { readonly kind: 'End' }

export interface Program {
  readonly steps: readonly Step[]
  readonly start: number
}

/** Numbers the classes and questions of an expression, in all its programs. */
export interface Numbering {
  character(shape: Extract<Shape, { kind: 'Character' }>): number
  question(shape: Extract<Shape, { kind: 'Edge' | 'Look' }>): number
}

/** Enough for a few classes repeated as in `[a-z]{1,1000}`. It is bounded, since a program runs once per character. */
const mostSteps = 50_000

/** Throws NotLinear where the program would be too large. */
export function compile(shape: Shape, numbering: Numbering): Program {
  const steps: Step[] = []
  const add = (step: Step): number => {
    if (steps.length >= mostSteps) throw new NotLinear('repeats within repeats make it too large')
    return steps.push(step) - 1
  }

  /** Steps for the shape that go on at `next`. @returns where they begin */
  const before = (part: Shape, next: number): number => {
    switch (part.kind) {
      case 'Character':
        return add({ kind: 'Character', of: numbering.character(part), next })
      case 'Sequence':
        return part.parts.reduceRight((after, one) => before(one, after), next)
      case 'Choice':
        return add({ kind: 'Fork', next: part.options.map((option) => before(option, next)) })
      case 'Repeat':
        return repeat(part, next)
      case 'Edge':
      case 'Look':
        return add({ kind: 'Ask', question: numbering.question(part), next })
      default:
        return part satisfies never
    }
  }

  const repeat = ({ body, least, most }: Extract<Shape, { kind: 'Repeat' }>, next: number): number => {
    let at = next
    if (most === undefined) at = loop(body, next)
    else for (let more = most - least; more > 0; more--) at = add({ kind: 'Fork', next: [before(body, at), next] })
    for (let left = least; left > 0; left--) {
      const begun = before(body, at)
      if (begun === at) break
      at = begun
    }
    return at
  }

  const loop = (body: Shape, next: number): number => {
    const targets = [next]
    const fork = add({ kind: 'Fork', next: targets })
    targets.push(before(body, fork))
    return fork
  }

  const end = add({ kind: 'End' })
  return { start: before(shape, end), steps }
}
