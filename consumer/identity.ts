/** Who this consumer is, from what its surroundings say: see redis/stream/identity.ts. */
import { formatIdentity, localOwner, type Supervisor } from '../redis/stream/identity.ts'

interface Surroundings {
  /** metadata.uid of the StreamPipeline; empty for a file that no API server has seen. */
  readonly pipelineUid: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly process: Supervisor
}

/** Set by whoever supervises consumers outside a cluster, for its children. */
export const ownerVariable = 'STREAMPIPELINE_OWNER'

/**
 * The pipeline owns what runs in a pod of its own. Where no POD_UID says so the process is its own supervisor, even if its file
 * was copied from a cluster, uid and all: the operator would take a consumer that is no pod of its pipeline for a vanished one.
 */
export function consumerUid({ pipelineUid, env, process }: Surroundings): string {
  const { POD_UID: podUid, [ownerVariable]: supervisor } = env
  const owner = supervisor || (podUid && pipelineUid) || localOwner(process)
  const life = podUid || `${process.pid}-${Math.round(process.startedAt)}`
  return formatIdentity({ owner, life })
}
