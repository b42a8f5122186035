/**
 * Everything that is wrong with a document: the API server's verdict, and beyond it what only a program can look into (`beyondServer`):
 * the payload's JSON Schema, schedules and their time zones.
 */
import { type Admission, admit as admitAsServer } from './admission.ts'
import { admitted } from './parse.ts'
import type { StreamPipeline } from './schema/pipeline.ts'
import { costlyProblems } from './validation/costly.ts'
import type { Problem } from './validation/problem.ts'

export { describeProblems } from './admission.ts'
export type { Problem } from './validation/problem.ts'

/** @param previous what it replaces; rules about change (an immutable field) are checked only then */
export function admit(document: unknown, previous?: unknown): Admission {
  const { value, problems } = admitAsServer(document, previous)
  return { value, problems: [...problems, ...costlyProblems(value)] }
}

/** What is wrong with a document, each problem naming its field and the remedy; empty: nothing. */
export function validate(document: unknown, previous?: unknown): readonly Problem[] {
  return admit(document, previous).problems
}

/**
 * Checks a document and fills in its defaults.
 * @throws InvalidPipeline, naming each field that is wrong and what to write instead
 */
export function parsePipeline(document: unknown): StreamPipeline {
  return admitted(document, admit(document))
}
