/**
 * Who consumes: each consumer's heartbeat, an expiring key that says how it is, and the registry, a hash that says whose the
 * name is. The registry outlives the process: by it the operator distinguishes its own vanished consumers from foreign ones, whose names
 * and entries it must never touch.
 *
 * The script that writes the heartbeat also keeps the group's floor (see group.ts). It returns the nudge, the number of entries
 * that the server thinks the consumer holds, and the server's time.
 */

import { failureOn, type RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { heartbeat as callHeartbeat, retireVanished as callRetireVanished, retire } from '../scripts/generated.ts'
import { isLocalOwner, parseIdentity } from './identity.ts'

/** How long a heartbeat lives: seven missed beats. Its absence alone is not death: under OOM nothing can be written. */
export const heartbeatTtlMs = 15_000
export const heartbeatIntervalMs = 2_000

export interface Heartbeat {
  readonly uid: string
  /** Milliseconds since the epoch, server time. */
  readonly at: number
  readonly state: string
  readonly inFlight: number
  /** The consumer's mean time to settle a decoded batch, per entry; 0 before the first. */
  readonly serviceMs: number
  readonly path: string
  readonly forwarded: number
  readonly duplicates: number
  readonly dead: number
  readonly reclaimed: number
  /** That it takes options of a request: a dispatcher sends none otherwise. */
  readonly takesOptions?: true
}

interface HeartbeatReply {
  /** Changes when entries were released that should be claimed now. */
  readonly nudge: string
  /** Pending entries the server counts for this consumer. */
  readonly held: number
  /** Server time, milliseconds since the epoch. */
  readonly now: number
}

/** Writes one heartbeat. Throws catalogued errors; NOGROUP when the group is gone. */
export async function sendHeartbeat(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  heartbeat: Omit<Heartbeat, 'at'>,
): Promise<HeartbeatReply> {
  const { keys, stream, group } = place
  return await callHeartbeat(
    connection,
    { heartbeat: keys.consumer(consumer), registry: keys.consumers, stats: keys.stats, nudge: keys.nudge, stream },
    { group, consumer, uid: heartbeat.uid, body: JSON.stringify(heartbeat), ttlMs: heartbeatTtlMs },
  )
}

/** The nudge alone. Throws catalogued errors. */
export async function readNudge(connection: RedisConnection, { keys }: Pick<StreamPlace, 'keys'>): Promise<string> {
  try {
    return (await connection.get(keys.nudge)) ?? '0'
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

/** Reads a heartbeat back; undefined for text this version does not understand. */
export function parseHeartbeat(text: string | null): Heartbeat | undefined {
  if (text === null) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Written by something else: for the reader the consumer then has no heartbeat.
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const field = (name: string): unknown => (Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined)
  const number = (name: string) => bounded(field(name))
  const text_ = (name: string) => {
    const found = field(name)
    return typeof found === 'string' && found.length <= longestText ? found : ''
  }
  return {
    uid: text_('uid'),
    at: number('at'),
    state: text_('state'),
    inFlight: number('inFlight'),
    serviceMs: number('serviceMs'),
    path: text_('path'),
    forwarded: number('forwarded'),
    duplicates: number('duplicates'),
    dead: number('dead'),
    reclaimed: number('reclaimed'),
    ...(field('takesOptions') === true ? { takesOptions: true } : {}),
  }
}

const longestText = 512

/** Any program that may write heartbeats may write any number, and these numbers are summed. */
function bounded(value: unknown): number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : 0
}

/** Takes the consumer's name out of group and registry, if it holds nothing; DELCONSUMER would drop what it holds. */
export async function retireConsumer(connection: RedisConnection, place: StreamPlace, consumer: string): Promise<boolean> {
  const { keys, stream, group } = place
  const touched = { stream, heartbeat: keys.consumer(consumer), registry: keys.consumers }
  return (await retire(connection, touched, { group, consumer })).retired
}

/** How long a local process must have been silent before its name goes. */
const forgottenAfterMs = 86_400_000

/**
 * Takes out names of local processes that ended without leaving, hold nothing, and have been silent for a day. A host whose name is
 * random leaves one each time. Pods are the operator's to judge, names without such an owner are strangers'. Returns how many went.
 */
export async function retireVanished(
  connection: RedisConnection,
  { keys, stream, group }: StreamPlace,
  idleMs = forgottenAfterMs,
): Promise<number> {
  let registered: Readonly<Record<string, string>>
  try {
    registered = await connection.hgetall(keys.consumers)
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
  let retired = 0
  for (const [consumer, uid] of Object.entries(registered)) {
    if (!isLocalOwner(parseIdentity(uid)?.owner ?? '')) continue
    const touched = { stream, heartbeat: keys.consumer(consumer), registry: keys.consumers }
    if ((await callRetireVanished(connection, touched, { group, consumer, uid, idleMs })).retired) retired += 1
  }
  return retired
}
