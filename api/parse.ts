/** From any document to the resource with its defaults, or to what is wrong with it. */

import { type Admission, describeProblems } from './admission.ts'
import { failure } from './errors.ts'
import { printableName } from './printable.ts'
import { pipelineSchema, type StreamPipeline } from './schema/pipeline.ts'
import { statusSchema } from './status.ts'
import { isRecord } from './validation/problem.ts'

/**
 * The resource, once all were asked that have to judge it.
 * @throws InvalidPipeline, naming each field that is wrong and what to write instead
 */
export function admitted(document: unknown, { value, problems: found }: Admission): StreamPipeline {
  const problems = found.filter(({ tolerated }) => tolerated !== true)
  if (problems.length > 0) {
    const metadata = isRecord(document) && isRecord(document['metadata']) ? document['metadata'] : {}
    const subject = typeof metadata['name'] === 'string' ? printableName(metadata['name']) : 'the document'
    throw failure('InvalidPipeline', { subject, problems: describeProblems(problems).replaceAll('\n', '; ') })
  }
  const parsed = pipelineSchema.parse(value)
  // A status of another release may have other fields; it is only a report, and is written anew.
  const status = isRecord(document) ? statusSchema.safeParse(document['status']).data : undefined
  return status === undefined ? parsed : { ...parsed, status }
}
