/**
 * The API server's verdict without a server. It applies the same structural schema, the same defaults and the same CEL rules. Its cost is
 * linear in the document's length. Fields whose cost an author decides are judged apart (validation/costly.ts).
 */
import { printable } from './printable.ts'
import { pipelineStructure, type Structure } from './structure.ts'
import { defaulted } from './validation/defaulting.ts'
import { ruleProblems } from './validation/expressions.ts'
import { headProblems } from './validation/metadata.ts'
import { fieldListProblems } from './validation/payload-fields.ts'
import { isRecord, type Problem } from './validation/problem.ts'
import { shapeProblems } from './validation/shape.ts'

export type { Problem } from './validation/problem.ts'

export interface Admission {
  /** The document with its defaults, without status. It is meaningful only where there are no problems. */
  readonly value: unknown
  readonly problems: readonly Problem[]
}

/** The schema of the part that a person writes. The operator writes status, and `apiVersion`, `kind` and metadata are checked apart. */
function written(): Structure {
  const whole = pipelineStructure()
  const { spec = {}, metadata = {}, apiVersion = {}, kind = {} } = whole.properties ?? {}
  const open = { ...metadata, 'x-kubernetes-preserve-unknown-fields': true }
  return { ...whole, properties: { apiVersion, kind, metadata: open, spec } }
}

/** @param previous the document that this one replaces; only then are rules about change (an immutable field) checked */
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
  if (isRecord(spec) && isRecord(spec['payload'])) problems.push(...fieldListProblems(spec['payload']))
  return { value, problems: problems.map(shown) }
}

/** A property's name is part of its field's path, and may be any text. */
export const shown = (problem: Problem): Problem => ({
  ...problem,
  field: printable(problem.field),
  message: printable(problem.message),
})

/** One line per problem. */
export function describeProblems(problems: readonly Problem[]): string {
  return problems.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('\n')
}
