/**
 * The one server behind a key. Some commands are about a connection rather than a key (CLIENT ID, CLIENT UNBLOCK, WAIT, ROLE):
 * a cluster would send them to any of its nodes, while they mean the connection that the key's own commands go through.
 *
 * ioredis drops a node whose connection ended and leaves it in its map of slots; it asks for the map anew when a command of the slot
 * is answered MOVED, CLUSTERDOWN or not at all. A look for the node before any such command must therefore have the map asked for. It
 * would find no node for ever: neither one that came back, nor the replica that took over.
 */
import type { Cluster, Redis } from 'ioredis'
import { failure } from '../../api/errors.ts'
import { slotOf } from '../keys.ts'
import { isCluster, labelOf, type RedisConnection } from './connection.ts'

/** `host:port` as the cluster's own map of slots has it; the same for every connection to one node. */
export function addressOf(node: Redis): string {
  return `${node.options.host}:${node.options.port}`
}

/** The connection to the server that has this key. A cluster's map of slots is asked for anew if need be. Throws RedisNotReady. */
export async function nodeOf(connection: RedisConnection, key: string): Promise<Redis> {
  if (!isCluster(connection)) return connection
  const slot = slotOf(key)
  const known = () => nodeAt(connection, connection.slots[slot]?.[0])
  const node = known() ?? (await newMap(connection).then(known))
  if (node !== undefined) return node
  const detail = `no node is known to serve slot ${slot}, where ${key} lies`
  throw failure('RedisNotReady', { address: labelOf(connection), reply: 'CLUSTERDOWN', detail })
}

/** The connection to the node of this address; undefined when it is not in the cluster any more. */
export function nodeAt(connection: RedisConnection, address: string | undefined): Redis | undefined {
  if (!isCluster(connection)) return connection
  return connection.nodes('all').find((node) => addressOf(node) === address)
}

/** Resolves also when no node answers: the look that follows then finds nothing, and fails. At most `slotsRefreshTimeout` per node. */
async function newMap(cluster: Cluster): Promise<void> {
  await new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()))
}
