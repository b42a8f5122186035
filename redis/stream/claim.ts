/**
 * The claim of a pipeline on a stream and group. Two pipelines, of two namespaces or of two clusters, may name the same ones. Only one of
 * them may set the producers' mode, create the group, and keep the scaler's state. It holds a claim beside the stream, and renews it. The
 * other one is refused, and its consumers read on.
 *
 * A claim passes on when its holder is confirmed gone, or has not renewed it for ten minutes. This covers a pipeline that is recreated,
 * restored elsewhere, or switched from one cluster to another. Releases without claims neither make nor respect them.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { RedisConnection } from '../connect/connection.ts'
import type { KeySpace } from '../keys.ts'
import { claimStream } from '../scripts/generated.ts'

export interface Claimant {
  /** Id of the operator's installation, which distinguishes clusters. */
  readonly cluster: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

const lapseMs = 600_000
const longestName = 253

/**
 * Makes or renews a claim.
 * @param isGone whether a pipeline certainly no longer exists
 * @returns why the claim is refused; undefined: the pipeline holds it
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
  const owner = holder === undefined ? '(of an unreadable name)' : `${holder.namespace}/${holder.name}`
  return failure('StreamClaimed', { stream, group, owner })
}

export interface Claim {
  readonly holder: Claimant
  /** Since the last renewal, in milliseconds. */
  readonly ageMs: number
}

/**
 * The claim as it stands, without making one. Undefined: there is none, it has lapsed, or no operator wrote it.
 * @param nowMs the server's time
 */
export async function claimOf(
  connection: RedisConnection,
  { stats }: Pick<KeySpace, 'stats'>,
  nowMs: number,
): Promise<Claim | undefined> {
  const [, time = '', text = ''] = /^(\d{1,15}) \S+ (.*)$/s.exec((await connection.hget(stats, 'owner')) ?? '') ?? []
  const ageMs = nowMs - Number(time)
  const holder = time === '' || Math.abs(ageMs) > lapseMs ? undefined : readClaimant(text)
  return holder && { holder, ageMs: Math.max(0, ageMs) }
}

/** Undefined: no operator wrote it. Other programs may write there too. */
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
