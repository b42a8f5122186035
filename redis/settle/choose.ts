/**
 * How a process forwards. The composed script is used if the text of its parts is known, and the self-test on this very server
 * passes. Otherwise the portable way is used, and the reason is reported. The composed script adds jobs by the specialised
 * add where that is proven, too (addtest.ts), and otherwise by BullMQ's own text. Consumers and Direct dispatch choose by the same rule: two
 * ways at once on one key have no common lock.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { type BullQueue, type BullScripts, fingerprint, openBullQueue } from '../bullmq/queue.ts'
import type { AddWay } from '../bullmq/specialisedadd.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { type ForwardTarget, type Placement, placementOf, queueKey } from '../placement.ts'
import { checkPortableRights } from '../preflight/permissioncheck.ts'
import { testSpecialisedAdd } from './addtest.ts'
import { createAtomicPath } from './atomic.ts'
import { createComposedForwarder } from './forwarders/composed.ts'
import type { Forwarder } from './forwarders/forwarder.ts'
import { createPortableForwarder } from './forwarders/portable.ts'
import { type Confirmation, createConfirmation } from './forwarders/replication.ts'
import { checkTransactions } from './forwarders/transaction.ts'
import type { SettlePath } from './path.ts'
import { selfTest } from './selftest.ts'
import { createTwoStepPath } from './twostep.ts'

/**
 * Version of BullMQ → SHA-256 of its scripts. They were read, and tested in composition and against the specialised add.
 */
const knownScripts: ReadonlyMap<string, string> = new Map([
  ['6.7.0', '9ab11ce426740c8c4aec3e6738110cc1f4c74368fa802d142fa826693362cd8f'],
  ['6.5.4', '0193b541615e2183369b7d4d20c6140f7bd5d66d848facb96109d1f7eaa69fcc'],
  ['6.4.0', '3bce03f5a2fbee5742a2673c99a105a40577217c0ce80db4939fe1220ec6786a'],
  ['6.3.16', '8cc67b71e55594c3b29e6b8d2eaaf89251d6fd521a307c1c66708795f7d70b2d'],
])

/** `specialised`: the fastest way that is proven; `composed`: jobs by BullMQ's own text at best; `portable`: no scripts of BullMQ's in ours. */
export type PathPreference = 'specialised' | 'composed' | 'portable'

/** How the composed scripts add jobs. */
export interface AddChoice {
  readonly way: AddWay
  /** Why it is not the specialised add; undefined when it is. */
  readonly why: string | undefined
}

/** How a consumer settles, and what the sweep and a replay need to go the same way. */
export interface ForwardPlan {
  readonly path: SettlePath
  /** BullMQ's scripts, where they are known and proven. */
  readonly scripts: BullScripts | undefined
  readonly placement: Placement
  /** Why it is not the composed way; undefined when it is. */
  readonly fallback: string | undefined
  /** How jobs are added; undefined on the portable path. */
  readonly add: AddChoice | undefined
  /** How replicas confirm; undefined where one script does it all. */
  readonly confirmation: Confirmation | undefined
}

interface ChosenForwarder {
  readonly forwarder: Forwarder
  readonly confirmation: Confirmation
  /** Why it is not the composed way; undefined when it is. */
  readonly fallback: string | undefined
}

/**
 * The forwarder for a queue, without a stream: Direct dispatch. By default it adds by BullMQ's own text. An application dispatches
 * few payloads at once, and would wait for the proof of the specialised add at its first dispatch.
 */
export async function chooseForwarder(
  connection: RedisConnection,
  target: ForwardTarget,
  preference: PathPreference = 'composed',
  known = knownScripts,
): Promise<ChosenForwarder> {
  const { composed, fallback } = await composable(connection, target, preference, known)
  return { ...(await forwarderBy(connection, target, composed)), fallback }
}

async function forwarderBy(connection: RedisConnection, target: ForwardTarget, composed: Composed | undefined) {
  const confirmation = createConfirmation(connection, queueKey(target))
  const forwarder =
    composed === undefined
      ? createPortableForwarder(connection, target, undefined, confirmation)
      : createComposedForwarder(connection, target, composed.bull, confirmation, composed.add.way)
  try {
    await confirmation.learn()
    if (composed === undefined) await checkTransactions(connection, queueKey(target))
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
  preference: PathPreference = 'specialised',
  known = knownScripts,
): Promise<ForwardPlan> {
  const placement = placementOf(pipeline)
  const { target, together } = placement
  const { composed, fallback } = await composable(queue, target, preference, known)
  const limits = { maxDeliveries: pipeline.delivery.maxDeliveries }
  const plan = { scripts: composed?.bull.scripts, placement, fallback, add: composed?.add }
  if (composed !== undefined && together) {
    const path = createAtomicPath(stream, placement, composed.bull, { ...limits, add: composed.add.way })
    return { ...plan, path, confirmation: undefined }
  }
  if (composed === undefined) await checkPortableRights(pipeline, queue)
  const { forwarder, confirmation } = await forwarderBy(queue, target, composed)
  return { ...plan, path: createTwoStepPath(stream, placement.place, forwarder, limits), confirmation }
}

interface Composed {
  readonly bull: BullQueue
  readonly add: AddChoice
}

interface Composable {
  readonly composed: Composed | undefined
  readonly fallback: string | undefined
}

/** BullMQ's queue where its scripts may be composed, or why they may not. */
async function composable(
  connection: RedisConnection,
  target: ForwardTarget,
  preference: PathPreference,
  known: ReadonlyMap<string, string>,
): Promise<Composable> {
  if (preference === 'portable') return { composed: undefined, fallback: 'the portable path was asked for' }
  const bull = await openBullQueue(connection, target.queue, target.prefix)
  const print = fingerprint(bull.scripts)
  try {
    const isKnown = [...known.values()].some((value) => value === print)
    const fallback = isKnown ? await selfTest(connection, target) : 'the scripts of the installed BullMQ are not known'
    if (fallback === undefined) return { composed: { bull, add: await chooseAdd(connection, target, preference) }, fallback }
    await bull.close()
    return { composed: undefined, fallback }
  } catch (thrown) {
    await bull.close()
    throw thrown
  }
}

async function chooseAdd(connection: RedisConnection, target: ForwardTarget, preference: PathPreference): Promise<AddChoice> {
  const asked = preference === 'composed' ? 'BullMQ’s own text was asked for' : undefined
  const why = asked ?? (await testSpecialisedAdd(connection, target))
  return { way: why === undefined ? 'Specialised' : 'BullMQ', why }
}
