/**
 * Which way of forwarding a process uses. The composed script is used where its parts are known by their text and the self-test
 * on this very server passes; otherwise the portable way, and the reason is said. Consumers and Direct dispatch choose by the
 * same rule: two ways at once on one key have no common lock.
 */

import type { CompiledPipeline } from '../../api/compiled.ts'
import { type BullQueue, type BullScripts, fingerprint, openBullQueue } from '../bullmq/queue.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { slotOf } from '../keys.ts'
import { type ForwardTarget, forwardTarget, streamPlace } from '../placement.ts'
import { checkPortableRights } from '../preflight/permissioncheck.ts'
import { createAtomicPath } from './atomic.ts'
import { createSplitForwarder } from './forwarders/composed.ts'
import type { Forwarder } from './forwarders/forwarder.ts'
import { createPortableForwarder } from './forwarders/portable.ts'
import type { SettlePath } from './path.ts'
import { selfTest } from './selftest.ts'
import { createTwoStepPath } from './twostep.ts'

/** SHA-256 of the scripts that were read and tested in composition, by the BullMQ that has them. */
export const knownScripts: ReadonlyMap<string, string> = new Map([
  ['6.7.0', '9ab11ce426740c8c4aec3e6738110cc1f4c74368fa802d142fa826693362cd8f'],
])

/** `composed`: use BullMQ's scripts where they are known; `portable`: never. */
export type PathPreference = 'composed' | 'portable'

export interface Chosen<T> {
  readonly chosen: T
  /** Why it is not the composed way; undefined when it is. */
  readonly fallback?: string
}

export interface ChosenPath extends Chosen<SettlePath> {
  /** BullMQ's scripts, where they are known and proven. */
  readonly scripts?: BullScripts
  /** Whether one script may touch stream, dead letters and queue. */
  readonly together: boolean
}

/** The forwarder for a queue, without a stream: Direct dispatch, and the queue's half of the split path. */
export async function chooseForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  preference: PathPreference = 'composed',
  known = knownScripts,
): Promise<Chosen<Forwarder>> {
  const composed = await composable(connection, target, preference, known)
  if (composed.bull !== undefined) return { chosen: createSplitForwarder(connection, target, composed.bull) }
  return { chosen: createPortableForwarder(connection, target), fallback: composed.reason }
}

/** The consumer's path. Throws RedisPermissionDenied where the portable path lacks a right. @param stream the stream's connection @param queue the queue's; the same where they share a Redis */
export async function chooseSettlePath(
  pipeline: CompiledPipeline,
  stream: RedisConnection,
  queue: RedisConnection,
  preference: PathPreference = 'composed',
  known = knownScripts,
): Promise<ChosenPath> {
  const place = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  const composed = await composable(queue, target, preference, known)
  const near = together(pipeline, stream, queue)
  const { maxDeliveries } = pipeline.delivery
  if (composed.bull === undefined) {
    await checkPortableRights(pipeline, queue)
    const chosen = createTwoStepPath(stream, place, createPortableForwarder(queue, target), { maxDeliveries })
    return { chosen, fallback: composed.reason, together: near }
  }
  const { scripts } = composed.bull
  if (!near) {
    return {
      chosen: createTwoStepPath(stream, place, createSplitForwarder(queue, target, composed.bull), { maxDeliveries }),
      scripts,
      together: near,
    }
  }
  return { chosen: createAtomicPath(stream, place, target, composed.bull, { maxDeliveries }), scripts, together: near }
}

/** Whether one script may touch stream, dead letters and queue. */
function together({ source, deadLetter, sink }: CompiledPipeline, stream: RedisConnection, queue: RedisConnection): boolean {
  if (stream !== queue) return false
  if (!stream.isCluster) return true
  const slot = slotOf(source.stream)
  return slotOf(deadLetter.stream) === slot && slotOf(`${sink.prefix}:${sink.queue}:wait`) === slot
}

type Composable = { readonly bull: BullQueue; readonly reason?: never } | { readonly bull?: never; readonly reason: string }

async function composable(
  connection: RedisConnection,
  target: ForwardTarget,
  preference: PathPreference,
  known: ReadonlyMap<string, string>,
): Promise<Composable> {
  if (preference === 'portable') return { reason: 'the portable path was asked for' }
  const bull = await openBullQueue(connection, target.queue, target.prefix)
  const print = fingerprint(bull.scripts)
  try {
    const isKnown = [...known.values()].some((value) => value === print)
    const reason = isKnown ? await selfTest(connection, target) : 'the scripts of the installed BullMQ are not known'
    if (reason === undefined) return { bull }
    await bull.close()
    return { reason }
  } catch (thrown) {
    await bull.close()
    throw thrown
  }
}
