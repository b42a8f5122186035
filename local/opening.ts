/**
 * The checks before a run touches an entry. Is this Redis fit? Which consumers of earlier runs are registered? Which others read
 * the group? Which present entries will be forwarded? All of it is reported first. Then the group is created, and the book opened.
 */

import type { CompiledPipeline } from '../api/compiled.ts'
import { formatAge } from '../api/duration.ts'
import { asFailure, failure } from '../api/errors.ts'
import { printableName } from '../api/printable.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { type StreamPlace, streamPlace } from '../redis/placement.ts'
import { checkBackends } from '../redis/preflight/backends.ts'
import { type Account, readAccount, waitingIn } from '../redis/stream/account.ts'
import { type Claim, claimOf } from '../redis/stream/claim.ts'
import { ensureGroup } from '../redis/stream/group.ts'
import { parseIdentity } from '../redis/stream/identity.ts'
import { observe } from '../sampling/observe.ts'
import type { Sample } from '../scaling/sample.ts'
import { describeOthers, type Other, othersIn } from './company.ts'
import { age, grouped } from './numbers.ts'
import { reapDead } from './reaping.ts'
import type { StartFrom } from './resource.ts'

export interface Opening {
  readonly account: Account
  readonly sample: Sample
  readonly others: readonly Other[]
}

interface OpeningParts {
  readonly pipeline: CompiledPipeline
  readonly redis: RedisConnection
  readonly queue: RedisConnection
  /** The option of the command line; undefined: the resource decides. */
  readonly from: StartFrom | undefined
  /** Owners of runs that are known to be gone. */
  readonly gone: readonly string[]
  readonly announce: (line: string) => void
}

/** Throws InvalidOption where `from` comes too late, and whatever Redis fails with. */
export async function openRun(parts: OpeningParts): Promise<Opening> {
  const { pipeline, redis, queue, from, gone, announce } = parts
  const place = streamPlace(pipeline)
  await checkBackends(pipeline, redis, queue)
  const before = await readAccount(redis, place)
  if (from !== undefined && before.known) throw tooLate(place, before)
  let sample = await observe(redis, pipeline, queue)
  if (await reapGone(redis, place, pipeline, sample, gone)) sample = await observe(redis, pipeline, queue)
  const others = othersIn(sample, () => false)
  const claim = await claimOf(redis, place.keys, sample.atMs)
  for (const line of openingLines({ pipeline, before, sample, others, claim })) announce(line)
  await ensureGroup(redis, place.keys, pipeline.source)
  return { account: await readAccount(redis, place), sample, others }
}

function tooLate({ stream, group }: StreamPlace, { present, cursor }: Account) {
  const where = present ? `goes on after entry ${cursor}` : 'existed before, and goes on where it was'
  const remedy = 'omit --from, or name a new group in spec.source.group'
  return failure('InvalidOption', {
    option: '--from',
    detail: `it is for a group that has never read; group ${group} of stream ${stream} ${where}: ${remedy}`,
  })
}

/** Removes consumers of ended runs. Their entries are claimable at once. */
async function reapGone(
  redis: RedisConnection,
  place: StreamPlace,
  { reclaim }: CompiledPipeline,
  { consumers }: Sample,
  gone: readonly string[],
): Promise<boolean> {
  let reaped = false
  for (const { name, uid = '' } of consumers) {
    if (!gone.includes(parseIdentity(uid)?.owner ?? '')) continue
    try {
      await reapDead(redis, place, { name, uid }, reclaim.minIdleMs)
      reaped = true
    } catch (thrown) {
      const error = asFailure(thrown)
      // Without the right to do that, their heartbeats expire like those of any other consumer.
      if (error.code !== 'RedisPermissionDenied') throw error
    }
  }
  return reaped
}

interface Seen {
  readonly pipeline: Pick<CompiledPipeline, 'source'>
  readonly before: Account
  readonly sample: Sample
  readonly others: readonly Other[]
  readonly claim: Claim | undefined
}

/** Lines for the user, before the first entry is forwarded. */
function openingLines({ pipeline, before, sample, others, claim }: Seen): readonly string[] {
  const lines = [...historyLine(pipeline, before, sample), ...claimLine(pipeline, claim)]
  if (others.length === 0) return lines
  const verb =
    others.length === 1 ? '1 consumer that is not of this run reads' : `${others.length} consumers that are not of this run read`
  return [...lines, `${verb} group ${pipeline.source.group}, and each entry goes to one of them: ${describeOthers(others)}`]
}

/** No consumer shows a pipeline at zero. Its claim does. */
function claimLine({ source: { stream, group } }: Seen['pipeline'], claim: Claim | undefined): readonly string[] {
  if (claim === undefined) return []
  const { namespace, name } = claim.holder
  const holder = `StreamPipeline ${printableName(`${namespace}/${name}`)} of a cluster`
  const renewed = `its operator renewed the claim ${age(claim.ageMs)} ago`
  return [`${holder} holds group ${group} of stream ${stream}: ${renewed}. Each entry goes to its consumers or to this run`]
}

function historyLine({ source }: Seen['pipeline'], before: Account, sample: Sample): readonly string[] {
  const { stream, group, startFrom } = source
  const oldest = sample.oldestAgeMs > 0 ? `, the oldest ${formatAge(sample.oldestAgeMs)} old` : ''
  const many = (count: number) => `${grouped(count)} ${count === 1 ? 'entry' : 'entries'}`
  if (before.present) {
    const waiting = waitingIn(before)
    if (waiting === 0) return []
    const about = before.counted || sample.undeliveredExact ? '' : 'about '
    return [
      `group ${group} goes on after ${before.cursor}: ${about}${many(waiting)} of stream ${stream} will be forwarded${oldest}`,
    ]
  }
  if (before.length === 0) return []
  if (before.known) {
    return [`group ${group} is gone and is made again: up to ${many(before.length)} of stream ${stream} will be delivered again`]
  }
  const there = `stream ${stream} holds ${many(before.length)} already, and group ${group} is new`
  return startFrom === 'Beginning'
    ? [`${there}: all will be forwarded${oldest}; --from now skips them`]
    : [`${there}: they are skipped; --from beginning forwards them`]
}
