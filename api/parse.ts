/** From any document to the resource with its defaults, or to its problems. */

import { type Admission, describeProblems } from './admission.ts'
import { failure } from './errors.ts'
import { printableName } from './printable.ts'
import { pipelineSchema, type StreamPipeline } from './schema/pipeline.ts'
import { statusSchema } from './status.ts'
import { isRecord } from './validation/problem.ts'

/**
 * The resource, after every judge has accepted it.
 * @throws InvalidPipeline that names each wrong field and the remedy
 */
export function admitted(document: unknown, { value, problems: found }: Admission): StreamPipeline {
  const problems = found.filter(({ tolerated }) => tolerated !== true)
  if (problems.length > 0) {
    const metadata = isRecord(document) && isRecord(document['metadata']) ? document['metadata'] : {}
    const subject = typeof metadata['name'] === 'string' ? printableName(metadata['name']) : 'the document'
    throw failure('InvalidPipeline', { subject, problems: describeProblems(problems).replaceAll('\n', '; ') })
  }
  const parsed = pipelineSchema.parse(value)
  // A status of another release may have other fields. It is only a report, and is written anew.
  const status = isRecord(document) ? statusSchema.safeParse(document['status']).data : undefined
  return status === undefined ? parsed : { ...parsed, status }
}
