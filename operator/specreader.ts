/** Reads the spec of a pipeline: judged once for each generation, since a check runs all its rules. */
import { admit } from '../api/admission.ts'
import { compilePipeline } from '../api/compile.ts'
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure, StreamPipelineError } from '../api/errors.ts'
import { admitted } from '../api/parse.ts'
import type { StreamPipeline } from '../api/schema/pipeline.ts'
import type { Problem } from '../api/validation/problem.ts'
import type { Clock } from '../process/clock.ts'
import type { Limits } from './limits.ts'
import type { PipelineObject, ReadSpec } from './plan/observed.ts'
import { policyRefusal } from './policy/verdict.ts'

/** The spec of one generation, as read. */
export interface JudgedSpec {
  readonly version: string
  readonly sinceMs: number
  readonly read: CompiledPipeline | StreamPipelineError
}

interface SpecReaderParts {
  readonly clock: Pick<Clock, 'wall'>
  readonly limits: Limits
  /** Judges the parts of a spec that may be costly, as createJudge does. */
  readonly judge: (key: string, version: string, value: unknown) => Promise<readonly Problem[]>
}

/** Reads the spec of the object, and remembers it in `record`. */
type ReadPipelineSpec = (key: string, record: { spec?: JudgedSpec }, object: PipelineObject) => Promise<ReadSpec>

export function createSpecReader({ clock, limits, judge }: SpecReaderParts): ReadPipelineSpec {
  return async (key, record, object) => {
    const version = `${object.metadata.uid ?? ''} ${object.metadata.generation ?? 0}`
    if (record.spec?.version === version) return specOf(object, record.spec.read)
    const parsed = await parse(object, async (value) => await judge(key, version, value))
    // The spec was not judged: its pause ends without a change of the resource.
    if (parsed.kind === 'Unsound' && parsed.error.code === 'SpecQuarantined') return parsed
    const spec = judged(parsed, object, limits)
    // The source of the compiled spec is seldom needed again.
    record.spec = { version, sinceMs: clock.wall().getTime(), read: spec.kind === 'Sound' ? spec.pipeline : spec.error }
    return spec
  }
}

function specOf(object: PipelineObject, read: CompiledPipeline | StreamPipelineError): ReadSpec {
  if (read instanceof StreamPipelineError) return { kind: 'Unsound', error: read }
  return {
    kind: 'Sound',
    pipeline: read,
    get resource() {
      return resourceOf(object)
    },
  }
}

/** The resource of a spec that was judged before. */
function resourceOf(object: PipelineObject): StreamPipeline {
  return admitted(object, admit(object))
}

async function parse(object: PipelineObject, judge: (value: unknown) => Promise<readonly Problem[]>): Promise<ReadSpec> {
  try {
    const { value, problems } = admit(object)
    const resource = admitted(object, { value, problems: [...problems, ...(await judge(value))] })
    return { kind: 'Sound', resource, pipeline: compilePipeline(resource) }
  } catch (thrown) {
    return { kind: 'Unsound', error: asFailure(thrown) }
  }
}

function judged(spec: ReadSpec, object: PipelineObject, limits: Limits): ReadSpec {
  const refusal = spec.kind === 'Sound' ? policyRefusal(object, limits) : undefined
  return refusal === undefined ? spec : { kind: 'Unsound', error: refusal }
}
