/**
 * How a process forwards. The composed script is used where its parts are known by their text and the self-test on this very server
 * passes; otherwise the portable way, and the reason is reported. Consumers and Direct dispatch choose by the same rule: two ways at
 * once on one key have no common lock.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { type BullQueue, type BullScripts, fingerprint, openBullQueue } from '../bullmq/queue.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { type ForwardTarget, type Placement, placementOf, queueKey } from '../placement.ts'
import { checkPortableRights } from '../preflight/permissioncheck.ts'
import { createAtomicPath } from './atomic.ts'
import { createComposedForwarder } from './forwarders/composed.ts'
import type { Forwarder } from './forwarders/forwarder.ts'
import { createPortableForwarder } from './forwarders/portable.ts'
import { type Confirmation, createConfirmation } from './forwarders/replication.ts'
import { checkTransactions } from './forwarders/transaction.ts'
import type { SettlePath } from './path.ts'
import { selfTest } from './selftest.ts'
import { createTwoStepPath } from './twostep.ts'

/** SHA-256 of the scripts that were read and tested in composition, by the BullMQ that has them. */
const knownScripts: ReadonlyMap<string, string> = new Map([
  ['6.7.0', '9ab11ce426740c8c4aec3e6738110cc1f4c74368fa802d142fa826693362cd8f'],
])

/** `composed`: use BullMQ's scripts where they are known; `portable`: never. */
type PathPreference = 'composed' | 'portable'

/** How a consumer settles, and what the sweep and a replay need to go the same way. */
export interface ForwardPlan {
  readonly path: SettlePath
  /** BullMQ's scripts, where they are known and proven. */
  readonly scripts: BullScripts | undefined
  readonly placement: Placement
  /** Why it is not the composed way; undefined when it is. */
  readonly fallback: string | undefined
  /** How replicas confirm; undefined where one script does it all. */
  readonly confirmation: Confirmation | undefined
}

interface ChosenForwarder {
  readonly forwarder: Forwarder
  readonly confirmation: Confirmation
  /** Why it is not the composed way; undefined when it is. */
  readonly fallback: string | undefined
}

/** The forwarder for a queue, without a stream: Direct dispatch. */
export async function chooseForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  preference: PathPreference = 'composed',
  known = knownScripts,
): Promise<ChosenForwarder> {
  const { bull, fallback } = await composable(connection, target, preference, known)
  return { ...(await forwarderBy(connection, target, bull)), fallback }
}

async function forwarderBy(connection: RedisConnection, target: ForwardTarget, bull: BullQueue | undefined) {
  const confirmation = createConfirmation(connection, queueKey(target))
  const forwarder =
    bull === undefined
      ? createPortableForwarder(connection, target, undefined, confirmation)
      : createComposedForwarder(connection, target, bull, confirmation)
  try {
    await confirmation.learn()
    if (bull === undefined) await checkTransactions(connection, queueKey(target))
  } catch (thrown) {
    await forwarder.close()
    throw thrown
  }
  return { forwarder, confirmation }
}

/**
 * The consumer's path. Throws RedisPermissionDenied where the portable path lacks a right.
 * @param stream the stream's connection @param queue the queue's; the same where they share a Redis
 */
export async function chooseSettlePath(
  pipeline: CompiledPipeline,
  stream: RedisConnection,
  queue: RedisConnection,
  preference: PathPreference = 'composed',
  known = knownScripts,
): Promise<ForwardPlan> {
  const placement = placementOf(pipeline)
  const { target, together } = placement
  const { bull, fallback } = await composable(queue, target, preference, known)
  const limits = { maxDeliveries: pipeline.delivery.maxDeliveries }
  const plan = { scripts: bull?.scripts, placement, fallback }
  if (bull !== undefined && together) {
    return { ...plan, path: createAtomicPath(stream, placement, bull, limits), confirmation: undefined }
  }
  if (bull === undefined) await checkPortableRights(pipeline, queue)
  const { forwarder, confirmation } = await forwarderBy(queue, target, bull)
  return { ...plan, path: createTwoStepPath(stream, placement.place, forwarder, limits), confirmation }
}

/** BullMQ's queue where its scripts may be composed, or why they may not. */
async function composable(
  connection: RedisConnection,
  target: ForwardTarget,
  preference: PathPreference,
  known: ReadonlyMap<string, string>,
): Promise<{ readonly bull: BullQueue | undefined; readonly fallback: string | undefined }> {
  if (preference === 'portable') return { bull: undefined, fallback: 'the portable path was asked for' }
  const bull = await openBullQueue(connection, target.queue, target.prefix)
  const print = fingerprint(bull.scripts)
  try {
    const isKnown = [...known.values()].some((value) => value === print)
    const fallback = isKnown ? await selfTest(connection, target) : 'the scripts of the installed BullMQ are not known'
    if (fallback === undefined) return { bull, fallback }
    await bull.close()
    return { bull: undefined, fallback }
  } catch (thrown) {
    await bull.close()
    throw thrown
  }
}
