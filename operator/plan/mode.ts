/**
 * The mode that producers get, which may lag behind `spec.mode`. Direct is published at once, since a rollback must not wait.
 * Stream is published only when Redis takes writes. A consumer must be ready, too, unless the spec allows a pipeline at rest to
 * have none. So no producer is sent to a stream without a reader. A pipeline that was never published has the mode of its spec.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { publishedMode } from './dispatch.ts'
import type { Observed } from './observed.ts'

export function modeToPublish(observed: Observed, pipeline: CompiledPipeline): 'Stream' | 'Direct' {
  if (pipeline.mode === 'Direct') return 'Direct'
  const published = publishedMode(observed.dispatch?.data)
  if (published !== 'Direct') return 'Stream'
  return takesEntries(observed, pipeline) && consumersFit(observed, pipeline) ? 'Stream' : 'Direct'
}

/** Whether the Redis of this spec, not of an earlier one, takes writes. */
function takesEntries({ observation }: Observed, { generation }: CompiledPipeline): boolean {
  return observation.kind === 'Seen' && observation.generation === generation && observation.refusal === undefined
}

function consumersFit(observed: Observed, pipeline: CompiledPipeline): boolean {
  const least = pipeline.scaling.policy === 'Manual' ? pipeline.replicas : pipeline.scaling.minReplicas
  return !pipeline.suspend && (least === 0 || (observed.deployment?.status?.readyReplicas ?? 0) > 0)
}
