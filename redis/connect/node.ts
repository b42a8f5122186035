/**
 * The one server behind a key. Some commands concern a connection, not a key: CLIENT ID, CLIENT UNBLOCK, WAIT, ROLE. A cluster
 * would send them to any of its nodes. They must go to the connection that the key's own commands use.
 *
 * ioredis drops a node whose connection ended, but keeps it in its map of slots. It requests a new map only when Redis answers a command of
 * the slot with MOVED or CLUSTERDOWN, or not at all. A search for the node before any such command must therefore request the map.
 * Otherwise it would never find a node that came back, nor a replica that took over.
 */
import type { Cluster, Redis } from 'ioredis'
import { failure } from '../../api/errors.ts'
import { slotOf } from '../keys.ts'
import { isCluster, labelOf, type RedisConnection } from './connection.ts'

/** `host:port` as the cluster's own map of slots has it; the same for every connection to one node. */
export function addressOf(node: Redis): string {
  return `${node.options.host}:${node.options.port}`
}

/** The connection to the server that holds this key. It requests a cluster's map of slots again where needed. Throws RedisNotReady. */
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

/** Resolves even when no node answers: the following search then finds none, and fails. It takes at most `slotsRefreshTimeout` per node. */
async function newMap(cluster: Cluster): Promise<void> {
  await new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()))
}
