/**
 * From a payload's schema to its validator. Consumer, dispatcher and library share this one way, so a schema that `validate` accepts runs
 * in all of them.
 */
import { createAjvJudge, createUnsurveyedJudge, type Judge } from './ajvjudge.ts'
import { type Choice, chosen } from './choice.ts'
import { createExactJudge } from './exactjudge.ts'
import { type Finding, spellPath } from './finding.ts'
import { sizeFinding } from './limits.ts'
import { type Survey, survey } from './survey.ts'
import { describeViolation, type Violation } from './verdict.ts'

type JsonSchema = Readonly<Record<string, unknown>>

interface Opinion {
  readonly findings: readonly Finding[]
  readonly choice: Choice
  /** Undefined: the schema is too large to lay out. */
  readonly survey?: Survey
}

/** `consider` keeps its last opinion: a caller that checks a resource compiles the same schema next. */
let considered: { readonly text: string; readonly opinion: Opinion } | undefined

/** All findings about a schema, and the validator it gets. This compiles nothing. */
export function consider(schema: JsonSchema, text: string = JSON.stringify(schema)): Opinion {
  if (considered?.text === text) return considered.opinion
  const tooLarge = sizeFinding(schema, text)
  const opinion = tooLarge === undefined ? surveyed(schema) : { findings: [tooLarge], choice: { kind: 'Fast' } as const }
  considered = { text, opinion }
  return opinion
}

function surveyed(schema: JsonSchema): Opinion {
  const found = survey(schema)
  const { findings } = found
  const sound = findings.every(({ weight }) => weight !== 'Unusable')
  return { findings, choice: sound ? chosen(found) : { kind: 'Fast' }, survey: found }
}

interface JudgingOptions {
  /** Asserted: a text without the format is refused, as for payloads. Annotated: it is accepted, as in the standard's own tests. */
  readonly formats?: 'Asserted' | 'Annotated'
}

/** Decides whether a value is valid. `violation` describes the problem of an invalid one. */
interface PayloadSchema {
  (value: unknown): boolean
  /** The first rule that a value breaks, as `PLACE RULE` without the value. Undefined: the value is valid. */
  readonly violation: (value: unknown) => string | undefined
  readonly choice: Choice
}

let compiled: { readonly text: string; readonly schema: PayloadSchema } | undefined

/** @throws Error that names the place in the schema and the remedy, where no validator can judge by it */
export function compilePayloadSchema(schema: JsonSchema, options: JudgingOptions = {}): PayloadSchema {
  const asserted = options.formats !== 'Annotated'
  const text = JSON.stringify(schema)
  const key = `${asserted} ${text}`
  if (compiled?.text === key) return compiled.schema
  const made = payloadSchema(schema, consider(schema, text), asserted)
  compiled = { text: key, schema: made }
  return made
}

function payloadSchema(schema: JsonSchema, { findings, choice, survey: found }: Opinion, asserted: boolean): PayloadSchema {
  const first = findings.find(({ weight }) => weight === 'Unusable')
  if (first !== undefined) throw new Error(`${spellPath('schema', first.path)}: ${first.message}`)
  const judge = judgeFor(schema, choice, found, asserted)
  const violation = (value: unknown) => {
    const broken: Violation | undefined = judge(value)
    return broken && describeViolation(broken)
  }
  return Object.freeze(Object.assign((value: unknown) => judge(value) === undefined, { violation, choice }))
}

function judgeFor(schema: JsonSchema, choice: Choice, found: Survey | undefined, asserted: boolean): Judge {
  if (found === undefined) return createUnsurveyedJudge(schema)
  return choice.kind === 'Fast' ? createAjvJudge(found, asserted) : createExactJudge(found, asserted)
}
