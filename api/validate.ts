/**
 * Everything that is wrong with a document: the API server's verdict, and beyond it what only a program can look into (`beyondServer`):
 * the payload's JSON Schema, schedules and their time zones.
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

/** @param previous what it replaces; rules about change (an immutable field) are checked only then */
export function admit(document: unknown, previous?: unknown): Admission {
  const { value, problems } = admitAsServer(document, previous)
  return { value, problems: [...problems, ...costlyProblems(value)] }
}

const payloadOf = (document: unknown): Readonly<Record<string, unknown>> | undefined => {
  const spec = isRecord(document) ? document['spec'] : undefined
  const payload = isRecord(spec) ? spec['payload'] : undefined
  return isRecord(payload) ? payload : undefined
}

const isTolerated = ({ tolerated }: Problem) => tolerated === true

/** What is wrong with a resource that runs all the same: refused by `validate`, or valid and probably not meant. */
export function pipelineWarnings(document: unknown): readonly Problem[] {
  const payload = payloadOf(document)
  if (payload === undefined) return []
  const problems = payloadProblems(payload)
  // A schema that does not compile has a problem already.
  if (!problems.every(isTolerated)) return []
  return [...problems, ...undecidedProblems(payload), ...payloadRemarks(payload)].map(shown)
}

/** What is wrong with a document, each problem naming its field and the remedy; empty: nothing. */
export function validate(document: unknown, previous?: unknown): readonly Problem[] {
  const { value, problems } = admit(document, previous)
  const payload = payloadOf(value)
  return payload !== undefined && problems.every(isTolerated) ? [...problems, ...undecidedProblems(payload).map(shown)] : problems
}

/**
 * Checks a document and fills in its defaults. Findings that earlier releases did not refuse are left to `validate`: a resource that
 * runs today goes on, with `pipelineWarnings`.
 * @throws InvalidPipeline, naming each field that is wrong and what to write instead
 */
export function parsePipeline(document: unknown): StreamPipeline {
  return admitted(document, admit(document))
}
