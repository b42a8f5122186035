/** Who this consumer is, from what its surroundings say: see redis/stream/identity.ts. */
import { formatIdentity, localOwner, type Supervisor } from '../redis/stream/identity.ts'

interface Surroundings {
  /** metadata.uid of the StreamPipeline; empty for a file that no API server has seen. */
  readonly pipelineUid: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly process: Supervisor
}

/** A supervisor of consumers outside a cluster sets it for its children. */
export const ownerVariable = 'STREAMPIPELINE_OWNER'

/**
 * The pipeline owns what runs in a pod of its own. Without POD_UID the process is its own supervisor, even if its file with the uid
 * was copied from a cluster. Otherwise the operator would take a consumer without a pod for a vanished one.
 */
export function consumerUid({ pipelineUid, env, process }: Surroundings): string {
  const { POD_UID: podUid, [ownerVariable]: supervisor } = env
  const owner = supervisor || (podUid && pipelineUid) || localOwner(process)
  const life = podUid || `${process.pid}-${Math.round(process.startedAt)}`
  return formatIdentity({ owner, life })
}
