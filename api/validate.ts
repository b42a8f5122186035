/**
 * The API server's verdict without a server: the same structural schema, the same defaults, the same CEL rules; and beyond it what
 * only a program can look into (`beyondServer`): the payload's JSON Schema, schedules and their time zones.
 */
import { printable } from './printable.ts'
import { pipelineStructure, type Structure } from './structure.ts'
import { defaulted } from './validation/defaulting.ts'
import { ruleProblems } from './validation/expressions.ts'
import { headProblems } from './validation/metadata.ts'
import { fieldListProblems, undecidedProblems } from './validation/payload-fields.ts'
import { payloadProblems, payloadRemarks } from './validation/payload-schema.ts'
import { isRecord, type Problem } from './validation/problem.ts'
import { scheduleProblems } from './validation/schedules.ts'
import { shapeProblems } from './validation/shape.ts'

export type { Problem } from './validation/problem.ts'

interface Admission {
  /** The document with defaults in, without status; worth using only where there are no problems. */
  readonly value: unknown
  readonly problems: readonly Problem[]
}

/** The schema of what a person writes: status is the operator's, and the head is checked apart. */
function written(): Structure {
  const whole = pipelineStructure()
  const { spec = {}, metadata = {}, apiVersion = {}, kind = {} } = whole.properties ?? {}
  const open = { ...metadata, 'x-kubernetes-preserve-unknown-fields': true }
  return { ...whole, properties: { apiVersion, kind, metadata: open, spec } }
}

/** @param previous what it replaces; rules about change (an immutable field) are checked only then */
export function admit(document: unknown, previous?: unknown): Admission {
  if (!isRecord(document))
    return {
      value: document,
      problems: [{ field: '', message: 'a StreamPipeline is an object: write apiVersion, kind, metadata and spec' }],
    }
  const structure = written()
  const { status: _, ...rest } = document
  const value = defaulted(rest, structure)
  const shape = shapeProblems(value, structure, '')
  const problems: Problem[] = [...headProblems(document), ...shape.map(({ field, message }) => ({ field, message }))]
  if (!problems.some(({ field }) => field === 'metadata.name') && !shape.some(({ blocking }) => blocking)) {
    problems.push(...ruleProblems(value, previous === undefined ? undefined : defaulted(previous, structure), structure))
  }
  const spec = isRecord(value) ? value['spec'] : undefined
  if (isRecord(spec)) {
    if (isRecord(spec['payload'])) problems.push(...payloadProblems(spec['payload']), ...fieldListProblems(spec['payload']))
    problems.push(...scheduleProblems(spec['scaling']))
  }
  return { value, problems: problems.map(shown) }
}

/** A property's name is part of its field, and may be anything. */
const shown = (problem: Problem): Problem => ({
  ...problem,
  field: printable(problem.field),
  message: printable(problem.message),
})

/** What is wrong with a resource that runs all the same: refused by `validate`, or valid and probably not meant. */
export function pipelineWarnings(document: unknown): readonly Problem[] {
  const spec = isRecord(document) ? document['spec'] : undefined
  const payload = isRecord(spec) ? spec['payload'] : undefined
  if (!isRecord(payload)) return []
  const problems = payloadProblems(payload)
  const sound = problems.every(({ tolerated }) => tolerated === true)
  // A schema that does not compile has a problem already.
  return sound ? [...problems, ...undecidedProblems(payload), ...payloadRemarks(payload)].map(shown) : []
}

/** What is wrong with a document, each problem naming its field and the remedy; empty: nothing. */
export function validate(document: unknown, previous?: unknown): readonly Problem[] {
  const { value, problems } = admit(document, previous)
  const spec = isRecord(value) ? value['spec'] : undefined
  const payload = isRecord(spec) ? spec['payload'] : undefined
  const sound = problems.every(({ tolerated }) => tolerated === true)
  return isRecord(payload) && sound ? [...problems, ...undecidedProblems(payload).map(shown)] : problems
}

/** One line per problem. */
export function describeProblems(problems: readonly Problem[]): string {
  return problems.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('\n')
}
