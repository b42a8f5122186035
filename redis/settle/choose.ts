/**
 * How a process forwards. The composed script is used where its parts are known by their text and the self-test on this very server
 * passes; otherwise the portable way, and the reason is reported. Consumers and Direct dispatch choose by the same rule: two ways at
 * once on one key have no common lock.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { type BullQueue, type BullScripts, fingerprint, openBullQueue } from '../bullmq/queue.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { type ForwardTarget, type Placement, placementOf } from '../placement.ts'
import { checkPortableRights } from '../preflight/permissioncheck.ts'
import { createAtomicPath } from './atomic.ts'
import { createComposedForwarder } from './forwarders/composed.ts'
import type { Forwarder } from './forwarders/forwarder.ts'
import { createPortableForwarder } from './forwarders/portable.ts'
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
}

interface ChosenForwarder {
  readonly forwarder: Forwarder
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
  if (bull === undefined) return { forwarder: createPortableForwarder(connection, target), fallback }
  return { forwarder: createComposedForwarder(connection, target, bull), fallback }
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
  const plan = (path: SettlePath) => ({ path, scripts: bull?.scripts, placement, fallback })
  if (bull !== undefined && together) return plan(createAtomicPath(stream, placement, bull, limits))
  if (bull === undefined) await checkPortableRights(pipeline, queue)
  const forwarder = bull === undefined ? createPortableForwarder(queue, target) : createComposedForwarder(queue, target, bull)
  return plan(createTwoStepPath(stream, placement.place, forwarder, limits))
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
