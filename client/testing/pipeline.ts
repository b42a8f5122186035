/**
 * A pipeline in memory, for the tests of an application: a dispatcher, a consumer and a worker, without Redis. Codec, schema, keys, options,
 * states and outcomes are the product's own code. Nothing runs by itself: `drain` runs what is due, one thing after the other, and uses no
 * timer, so that it works under fake time.
 */
import { readFileSync } from 'node:fs'
import { compilePipeline } from '../../api/compile.ts'
import type { CompiledPipeline } from '../../api/compiled.ts'
import { asFailure, failure } from '../../api/errors.ts'
import { loadPipelines } from '../../api/load.ts'
import type { StreamPipelineInput } from '../../api/schema/pipeline.ts'
import { parsePipeline } from '../../api/validate.ts'
import type { DispatchConfig, DispatchMode } from '../../redis/dispatchconfig.ts'
import { targetOf } from '../../redis/placement.ts'
import type { Dispatcher } from '../dispatcher.ts'
import type { Handler, Handlers } from '../handlers.ts'
import { createPlans, type Plan } from '../plan.ts'
import type { PayloadIn, StandardSchema } from '../standardschema.ts'
import { warn } from '../warn.ts'
import { createBackend } from './backend.ts'
import type { TestDeadLetter } from './deadletters.ts'
import { createTestDispatcher } from './dispatcher.ts'
import { createDraining } from './draining.ts'
import { jobStatusOf, type StoredJob } from './queue.ts'
import type { TestedJob, TestPipeline, TestPipelineOptions } from './testpipeline.ts'
import { createWaits } from './waits.ts'
import { createTestWorker, type TestWorker } from './worker.ts'

/**
 * Makes a pipeline in memory from its resource: a file's path, a document, a compiled pipeline, or a dispatch configuration. Throws
 * InvalidPipeline, InvalidOption, and why a file cannot be read.
 */
export function createTestPipeline<
  Payload extends object = Readonly<Record<string, unknown>>,
  Schema extends StandardSchema | undefined = StandardSchema | undefined,
>(
  resource: string | StreamPipelineInput | CompiledPipeline | DispatchConfig,
  options: TestPipelineOptions & { readonly schema?: Schema } = {},
): TestPipeline<[Schema] extends [StandardSchema] ? PayloadIn<Schema> : Payload> {
  type Requested = [Schema] extends [StandardSchema] ? PayloadIn<Schema> : Payload
  const { clock = () => Date.now(), schema } = options
  const { plan, failedJobs } = planOf(resource, options)
  const target = targetOf(plan.config)
  let mode = options.mode ?? plan.config.mode
  let advancedMs = 0
  const now = () => clock() + advancedMs
  let backend = createBackend(plan, target, now)
  const waits = createWaits(now, options.clock === undefined)
  let worker: TestWorker<Requested, unknown> | undefined

  function ended(job: StoredJob): void {
    waits.settle()
    if (job.state === 'Failed' && failedJobs === 'Capture') backend.capture(job)
    else backend.queue.keep(job)
  }

  const draining = createDraining({
    ...{ waits, now },
    backend: () => backend,
    worker: () => worker,
    pass(ms) {
      advancedMs += ms
    },
  })

  const dispatcher: Dispatcher<Requested> = createTestDispatcher({
    ...{ plan, target, schema, waits },
    backend: () => backend,
    mode: () => mode,
    proceed(isOver) {
      draining.proceed(isOver).catch((thrown: unknown) => (options.onError ?? warn)(asFailure(thrown)))
    },
  })

  return {
    config: plan.config,
    dispatcher,
    worker<Result>(execute: Handler<Requested, Result> | Handlers<Requested, Result>, more = {}) {
      const { queue, prefix } = target
      const place = { queue, prefix, queueOf: () => backend.queue }
      const made = createTestWorker(execute, { onError: options.onError ?? warn, ...more }, place, ended)
      worker = made as unknown as TestWorker<Requested, unknown>
      return made
    },
    add: (fields) => backend.append(Object.entries(fields).flat()),
    drain: draining.drain,
    advance: draining.advance,
    get jobs() {
      return [...backend.queue.jobs.values()].map(shown<Requested>)
    },
    get deadLetters(): readonly TestDeadLetter[] {
      return [...backend.deadLetters]
    },
    replay: (id) => backend.replay(id),
    get now() {
      return now()
    },
    setMode(next: DispatchMode) {
      mode = next
    },
    reset() {
      backend = createBackend(plan, target, now)
      advancedMs = 0
      mode = options.mode ?? plan.config.mode
      waits.end()
    },
  }
}

function shown<Payload>(job: StoredJob): TestedJob<Payload> {
  const { redrives: _, ...status } = jobStatusOf(job)
  return {
    ...status,
    data: JSON.parse(job.json) as Payload,
    options: job.opts,
    attemptsMade: job.attemptsMade,
    logs: [...job.logs],
  }
}

interface Planned {
  readonly plan: Plan
  readonly failedJobs: 'Capture' | 'Leave'
}

function planOf(
  resource: string | StreamPipelineInput | CompiledPipeline | DispatchConfig,
  { schema, name, failedJobs = 'Capture', onError = warn }: TestPipelineOptions,
): Planned {
  const common = { env: {}, onError, ...(schema === undefined ? {} : { schema }) }
  if (typeof resource !== 'string' && 'scope' in resource)
    return { plan: createPlans({ ...common, config: resource }).now(), failedJobs }
  const pipeline = typeof resource === 'string' ? fromFile(resource, name) : compiledOf(resource)
  return { plan: createPlans({ ...common, pipeline }).now(), failedJobs: pipeline.deadLetter.failedJobs }
}

const compiledOf = (resource: StreamPipelineInput | CompiledPipeline): CompiledPipeline =>
  'spec' in resource ? compilePipeline(parsePipeline(resource)) : resource

/** @param name of the pipeline, where the file has several */
function fromFile(path: string, name: string | undefined): CompiledPipeline {
  const loaded = loadPipelines(readText(path), path).map(({ document }) => parsePipeline(document))
  const found = loaded.filter(({ metadata }) => name === undefined || metadata.name === name)
  const [only] = found
  if (only !== undefined && found.length === 1) return compilePipeline(only)
  const names = loaded.map(({ metadata }) => metadata.name).join(', ')
  throw failure('InvalidOption', { option: 'name', detail: `name one of the pipelines of ${path}: ${names || 'it has none'}` })
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    const detail = thrown instanceof Error ? thrown.message : String(thrown)
    throw failure('UnreadableFile', { file: path, detail }, thrown)
  }
}
