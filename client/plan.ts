/** A dispatcher's plan: the configuration, wherever it comes from, with the codec and key names made from it. */
import { createRequire } from 'node:module'
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import type { StreamPipelineInput } from '../api/schema/pipeline.ts'
import {
  type DispatchConfig,
  dispatchConfigOf,
  dispatchVariable,
  parseDispatchConfig,
  payloadOf,
} from '../redis/dispatchconfig.ts'
import { type KeySpace, keySpace } from '../redis/keys.ts'
import { type Codec, createCodec } from '../redis/payload/codec.ts'
import { mountedConfig } from './mounted.ts'
import type { DispatcherOptions } from './options.ts'
import { differences, payloadSchemaOf } from './standardschema.ts'

export interface Plan {
  readonly config: DispatchConfig
  readonly codec: Codec
  /** Helper keys beside the stream. */
  readonly keys: KeySpace
}

interface Plans {
  /** The pipeline it was made from; undefined when it was made from a dispatch configuration. */
  readonly pipeline: CompiledPipeline | undefined
  /** The plan in force now; the same object as long as the configuration is the same. */
  current(): Plan | Promise<Plan>
  /** The plan of a configuration that was given, and not mounted. */
  now(): Plan
}

interface PlanOptions extends Pick<DispatcherOptions, 'pipeline' | 'config' | 'schema'> {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly onError: (error: StreamPipelineError) => void
}

export function createPlans({ pipeline, config, schema, env, onError }: PlanOptions): Plans {
  const own = schema && payloadSchemaOf(schema)
  const planOf = (latest: DispatchConfig): Plan => {
    const detail = own && differing(own, latest.schema)
    if (detail !== undefined) onError(failure('SchemaDiffers', { detail }))
    return { config: latest, codec: createCodec(payloadOf(latest), latest.allow), keys: keySpace(latest.stream, latest.group) }
  }
  if (pipeline !== undefined && config !== undefined) {
    throw failure('InvalidOption', { option: 'config', detail: 'give either pipeline or config, not both' })
  }
  if (typeof config === 'string') {
    const read = mountedConfig(config, (thrown) => onError(asFailure(thrown)))
    let plan: Plan | undefined
    const current = async () => {
      const latest = await read()
      if (plan?.config !== latest) plan = planOf(latest)
      return plan
    }
    return { pipeline: undefined, current, now: unread }
  }
  const compiled = pipeline === undefined ? undefined : 'spec' in pipeline ? compiledOf(pipeline) : pipeline
  const plan = planOf(compiled === undefined ? givenConfig(config, env) : dispatchConfigOf(compiled))
  return { pipeline: compiled, current: () => plan, now: () => plan }
}

function unread(): never {
  throw failure('Internal', { detail: 'a mounted configuration was not read yet' })
}

/** A document is judged by far more code than a dispatch configuration: it is loaded only where a document is given. */
function compiledOf(pipeline: StreamPipelineInput): CompiledPipeline {
  const { compilePipeline } = load('../api/compile.ts') as typeof import('../api/compile.ts')
  const { parsePipeline } = load('../api/validate.ts') as typeof import('../api/validate.ts')
  return compilePipeline(parsePipeline(pipeline))
}

const load = createRequire(import.meta.url)

function givenConfig(config: DispatchConfig | undefined, env: PlanOptions['env']): DispatchConfig {
  if (config !== undefined) return parseDispatchConfig(config, 'config')
  const text = env[dispatchVariable]
  if (text !== undefined && text !== '') return parseDispatchConfig(text)
  const detail = `neither pipeline nor config is given, and the environment variable ${dispatchVariable} is not set`
  throw failure('InvalidOption', { option: 'config', detail })
}

/** Undefined: the two say the same. */
function differing(own: Readonly<Record<string, unknown>>, given: DispatchConfig['schema']): string | undefined {
  if (given === undefined) return 'the resource has no schema'
  const paths = differences(own, given)
  const more = paths.length > mostPaths ? ` and ${paths.length - mostPaths} more` : ''
  return paths.length === 0 ? undefined : `${paths.slice(0, mostPaths).join(', ')}${more}`
}

const mostPaths = 5
