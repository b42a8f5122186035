/** The vegetation-index pipeline of the examples, on a test's own Redis, and payloads for it. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compilePipeline } from '../../api/compile.ts'
import { readPipelines } from '../../api/files.ts'
import type { StreamPipelineInput } from '../../api/schema/pipeline.ts'
import { parsePipeline } from '../../api/validate.ts'
import { startCli } from '../support/process.ts'
import { projectRoot } from '../support/root.ts'
import type { Scope } from '../support/scope.ts'

export interface NdviRequest {
  readonly job_id: number
  readonly request_hash: string
  readonly farm_id: number
  readonly engine: string
  readonly job_type: string
  readonly enqueue_timestamp: number
}

const [quickstart] = await readPipelines(join(projectRoot, 'examples', 'quickstart.yaml'))
const example = quickstart?.document as StreamPipelineInput

/** The example with its Redis replaced; `change` may alter the rest of its spec. */
export function ndviPipeline(url: string, change: (spec: StreamPipelineInput['spec']) => void = () => {}): StreamPipelineInput {
  const pipeline = structuredClone(example)
  pipeline.spec.redis = { url }
  change(pipeline.spec)
  return pipeline
}

export const compiled = (pipeline: StreamPipelineInput) => compilePipeline(parsePipeline(pipeline))

export function ndviRequest(id: number): NdviRequest {
  return {
    job_id: id,
    request_hash: createHash('sha256').update(`request ${id}`).digest('hex'),
    farm_id: (id % 7) + 1,
    engine: 'sentinel-hub',
    job_type: 'ndvi_current',
    enqueue_timestamp: 1_795_000_000.25,
  }
}

/** A consumer of the pipeline as a process of its own. */
export async function startConsumer(scope: Scope, pipeline: StreamPipelineInput, name = 'consumer-1') {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-client-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const config = join(folder, 'pipeline.yaml')
  // JSON is YAML.
  await writeFile(config, JSON.stringify(pipeline))
  return await startCli(scope, ['consume', '--config', config, '--name', name, '--listen', '127.0.0.1:0'])
}
