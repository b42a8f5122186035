/**
 * Every problem of a document. The API server's verdict comes first. `costlyProblems` adds what only a program can judge: the
 * payload's JSON Schema, schedules and their time zones.
 */
import { type Admission, admit as admitAsServer, shown } from './admission.ts'
import { admitted } from './parse.ts'
import type { StreamPipeline } from './schema/pipeline.ts'
import { costlyProblems } from './validation/costly.ts'
import { undecidedProblems } from './validation/payload-fields.ts'
import { payloadProblems, payloadRemarks } from './validation/payload-schema.ts'
import { isRecord, type Problem } from './validation/problem.ts'

export { describeProblems } from './admission.ts'
export type { Problem } from './validation/problem.ts'

/** @param previous the document that this one replaces; only then are rules about change (an immutable field) checked */
function admit(document: unknown, previous?: unknown): Admission {
  const { value, problems } = admitAsServer(document, previous)
  return { value, problems: [...problems, ...costlyProblems(value)] }
}

const payloadOf = (document: unknown): Readonly<Record<string, unknown>> | undefined => {
  const spec = isRecord(document) ? document['spec'] : undefined
  const payload = isRecord(spec) ? spec['payload'] : undefined
  return isRecord(payload) ? payload : undefined
}

const isTolerated = ({ tolerated }: Problem) => tolerated === true

/** Findings on a resource that runs all the same: `validate` refuses it, or it is valid and probably not meant. */
export function pipelineWarnings(document: unknown): readonly Problem[] {
  const payload = payloadOf(document)
  if (payload === undefined) return []
  const problems = payloadProblems(payload)
  // A schema that does not compile is already a problem.
  if (!problems.every(isTolerated)) return []
  return [...problems, ...undecidedProblems(payload), ...payloadRemarks(payload)].map(shown)
}

/** The problems of a document, each with its field and the remedy; empty: none. */
export function validate(document: unknown, previous?: unknown): readonly Problem[] {
  const { value, problems } = admit(document, previous)
  const payload = payloadOf(value)
  return payload !== undefined && problems.every(isTolerated) ? [...problems, ...undecidedProblems(payload).map(shown)] : problems
}

/**
 * Checks a document and fills in its defaults. It ignores findings that earlier releases did not refuse; only `validate` refuses those. A
 * running resource keeps running, with `pipelineWarnings`.
 * @throws InvalidPipeline that names each wrong field and the remedy
 */
export function parsePipeline(document: unknown): StreamPipeline {
  return admitted(document, admit(document))
}
