/**
 * Names of everything this product keeps in Redis beside the user's own stream, dead letters and queue.
 *
 * Helper keys share a slot with the data they guard, so that one script may touch both: `sp:{T}:<scope>:…`. T is the guarded key's
 * hash tag, or its whole name where it has none. The scope is a hash of the full stream name and the group. Two pipelines may feed
 * one queue, or have streams with the same tag, and must not swallow each other's entries.
 *
 * Job ids are never text that a producer controls. They share the keyspace of the queue's own keys, and `jobId: "wait"` would turn
 * the wait list into a hash. Hence `e-<scope>-<base64url SHA-256>`.
 */
import { createHash } from 'node:crypto'

/** The part of a key that Redis Cluster hashes: between the first `{` and the next `}`, if not empty; else the whole key. */
export function hashTag(key: string): string {
  const open = key.indexOf('{')
  if (open === -1) return key
  const close = key.indexOf('}', open + 1)
  return close === -1 || close === open + 1 ? key : key.slice(open + 1, close)
}

/** CRC-16/XMODEM over the hash tag, modulo 16384 (Redis Cluster specification, "Key distribution model"). */
export function slotOf(key: string): number {
  let crc = 0
  for (const byte of Buffer.from(hashTag(key))) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc % 16384
}

/** 10 characters of base64url (60 bits) over a JSON array of [stream, group]. */
export function scopeOf(stream: string, group: string): string {
  return createHash('sha256')
    .update(JSON.stringify([stream, group]))
    .digest('base64url')
    .slice(0, 10)
}

export interface KeySpace {
  readonly scope: string
  /** The prefix of all helper keys, `sp:{T}:<scope>:`, for ACL patterns and scans. */
  readonly prefix: string
  /** String: this idempotency key was forwarded; expires after the window. */
  mark(hash: string): string
  /** String, a token: a forwarder on the portable path, of a consumer or a direct dispatch, holds this key now. */
  lock(hash: string): string
  /** String, JSON: heartbeat of one consumer; expires. */
  consumer(name: string): string
  /** String: id of the newest dead letter of this idempotency key's hash, or of this entry where it has no key; expires. */
  dead(name: string): string
  /** Hash: consumer name → uid of the process that registered it. */
  readonly consumers: string
  /** Hash: what must survive pods, such as the ledger and the group's floor, from which a lost group is made again. */
  readonly stats: string
  /** Hash: dead letters whose entry went back and whose record is still to be deleted, and the id of the new entry. */
  readonly replays: string
  /** String: `Stream` or `Direct`; what producers obey when present. */
  readonly mode: string
  /** String, a counter: raised when a consumer should look for claimable entries now. */
  readonly nudge: string
}

/** @param anchor the key whose slot the helper keys share: the stream, or the queue's prefix where the queue is elsewhere */
export function keySpace(stream: string, group: string, anchor: string = stream): KeySpace {
  const scope = scopeOf(stream, group)
  const prefix = `sp:{${hashTag(anchor)}}:${scope}:`
  return Object.freeze({
    scope,
    prefix,
    mark: (hash: string) => `${prefix}mark:${hash}`,
    lock: (hash: string) => `${prefix}lock:${hash}`,
    consumer: (name: string) => `${prefix}consumer:${name}`,
    dead: (name: string) => `${prefix}dead:${name}`,
    consumers: `${prefix}consumers`,
    stats: `${prefix}stats`,
    replays: `${prefix}replays`,
    mode: `${prefix}mode`,
    nudge: `${prefix}nudge`,
  })
}

/** BullMQ job id of an idempotency key's hash. */
export function jobId(scope: string, hash: string): string {
  return `e-${scope}-${hash}`
}

/**
 * String, a token: a worker is executing this key of this queue right now (the worker wrapper's lock). Outside BullMQ's own
 * keyspace, `<prefix>:<queue>:…`, where a name made here could meet one of BullMQ's.
 */
export function executionLock(prefix: string, queue: string, key: string): string {
  return `sp:{${hashTag(`${prefix}:${queue}`)}}:exec:${queue}:${key}`
}
