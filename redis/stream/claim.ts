/**
 * Whose a stream and group are. Two pipelines, of two namespaces or of two clusters, may name the same ones; only one of them may say which
 * mode producers go by, make the group, and keep the scaler's state. It holds a claim beside the stream, which it renews; the other one is
 * refused, and its consumers read on.
 *
 * A claim passes on when its holder is confirmed to be gone, or has not renewed it for ten minutes: recreated, restored elsewhere, switched
 * from one cluster to another. Releases that know nothing of claims neither make nor heed them.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { RedisConnection } from '../connect/connection.ts'
import type { KeySpace } from '../keys.ts'
import { claimStream } from '../scripts/generated.ts'

export interface Claimant {
  /** Of the operator's installation: tells clusters apart. */
  readonly cluster: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

const lapseMs = 600_000
const longestName = 253

/**
 * Claims, or renews.
 * @param isGone whether a pipeline is certain not to exist any more
 * @returns why it is refused; undefined: it holds the claim
 */
export async function claim(
  connection: RedisConnection,
  { stats }: Pick<KeySpace, 'stats'>,
  of: { readonly stream: string; readonly group: string; readonly claimant: Claimant },
  isGone: (holder: Claimant) => Promise<boolean>,
): Promise<StreamPipelineError | undefined> {
  const { claimant, stream, group } = of
  const attempt = (gone: string) =>
    claimStream(connection, { stats }, { uid: claimant.uid, holder: JSON.stringify(claimant), gone, lapseMs })
  const first = await attempt('')
  if (first.granted) return undefined
  const holder = readClaimant(first.owner)
  if (holder !== undefined && (await isGone(holder)) && (await attempt(holder.uid)).granted) return undefined
  const owner = holder === undefined ? 'somebody else' : `${holder.namespace}/${holder.name}`
  return failure('StreamClaimed', { stream, group, owner })
}

/** Undefined for what no operator wrote: others may write there, too. */
function readClaimant(text: string): Claimant | undefined {
  try {
    const value = JSON.parse(text) as Partial<Record<keyof Claimant, unknown>> | null
    const { cluster, namespace, name, uid } = value ?? {}
    const texts = [cluster, namespace, name, uid]
    if (!texts.every((each) => typeof each === 'string' && each.length <= longestName && /^[\w.-]+$/.test(each))) return undefined
    return { cluster: String(cluster), namespace: String(namespace), name: String(name), uid: String(uid) }
  } catch {
    return undefined
  }
}
