/**
 * Whose a consumer is. Names in a group say nothing: a pod's name comes again, a laptop's `ndvi-1` is on every laptop. So the
 * registry keeps two ids for each name: that of the owner, and that of the process's life. Only the owner may judge that a life is over.
 *
 *   3f1c…-pipeline-uid/9a40…-pod-uid            a pod of the operator's
 *   local-host-4711-1763830000000/5f0e…         a child of a local run, or a consumer started by hand
 */
interface Identity {
  /** The StreamPipeline's metadata.uid; `local-…` where no operator is in charge. */
  readonly owner: string
  /** Different for each process that ever bears the name: the pod's uid, or process id and start. */
  readonly life: string
}

/** As the registry and the heartbeat hold it. */
export function formatIdentity({ owner, life }: Identity): string {
  return `${owner}/${life}`
}

/** Undefined for what is not of that form: it is of another program. */
export function parseIdentity(uid: string): Identity | undefined {
  const slash = uid.indexOf('/')
  const [owner, life] = [uid.slice(0, slash), uid.slice(slash + 1)]
  return slash <= 0 || life === '' ? undefined : { owner, life }
}

/** The process in charge of consumers that no operator is in charge of: a local run, or the consumer itself. */
export interface Supervisor {
  readonly host: string
  readonly pid: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
}

const localPrefix = 'local-'

export const isLocalOwner = (owner: string): boolean => owner.startsWith(localPrefix)

export function localOwner({ host, pid, startedAt }: Supervisor): string {
  return `${localPrefix}${host.replaceAll('/', '-')}-${pid}-${Math.round(startedAt)}`
}
