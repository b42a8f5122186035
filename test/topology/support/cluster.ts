/** A Redis Cluster for a test: three primaries, a third of the slots each; kept on disk, so that a node may be killed and come back. */
import { Cluster, type Redis } from 'ioredis'
import { slotOf } from '../../../redis/keys.ts'
import { freePort } from '../../support/port.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { replicaOnline } from '../../support/replicas.ts'
import type { Scope } from '../../support/scope.ts'
import { eventually } from '../../support/wait.ts'

const slots = 16_384
const primaries = 3

export interface RedisCluster {
  readonly nodes: readonly RedisServer[]
  /** `host:port` of each, as a pipeline's spec lists them. */
  readonly addresses: readonly string[]
  /** The node that serves a key's slot, as dealt at the start. */
  nodeOf(key: string): RedisServer
  /** With `replicas`: the one that follows that node. */
  replicaOf(key: string): RedisServer
  /** A client of the whole, closed when the scope ends. */
  client(): Cluster
  /** Resolves when every node serves every slot. */
  ready(): Promise<void>
}

export interface ClusterOptions {
  readonly binary?: string | undefined
  /** More arguments of each server. */
  readonly args?: readonly string[]
  /** A replica for each primary: its failover is automatic. */
  readonly replicas?: boolean
}

export async function startCluster(scope: Scope, options: ClusterOptions = {}): Promise<RedisCluster> {
  const started = await Promise.all(
    Array.from({ length: options.replicas ? primaries * 2 : primaries }, () => startNode(scope, options)),
  )
  const nodes = started.slice(0, primaries)
  const clients = started.map(({ server }) => server.client())
  const size = Math.ceil(slots / primaries)
  await Promise.all(
    clients.map(async (client, index) => {
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
      if (index >= primaries) return
      await client.cluster('ADDSLOTSRANGE', index * size, Math.min(slots, (index + 1) * size) - 1)
    }),
  )
  const [first] = clients
  for (const { server, bus } of started.slice(1))
    await first?.call('CLUSTER', 'MEET', '127.0.0.1', String(server.port), String(bus))
  const ready = async () => {
    for (const client of clients) await eventually(async () => await servesAll(client), { timeoutMs: 60_000 })
  }
  await Promise.all(clients.slice(primaries).map(async (client, index) => await follow(client, clients[index])))
  await ready()
  const servers = nodes.map(({ server }) => server)
  const dealt = (among: readonly RedisServer[], key: string) => {
    const node = among[Math.floor(slotOf(key) / size)]
    if (node === undefined) throw new Error(`no node serves ${key}`)
    return node
  }
  return {
    nodes: servers,
    addresses: servers.map(({ port }) => `127.0.0.1:${port}`),
    nodeOf: (key) => dealt(servers, key),
    replicaOf: (key) =>
      dealt(
        started.slice(primaries).map(({ server }) => server),
        key,
      ),
    client() {
      const cluster = new Cluster(servers.map(({ port }) => ({ host: '127.0.0.1', port })))
      cluster.on('error', () => undefined)
      scope.after(() => cluster.disconnect())
      return cluster
    },
    ready,
  }
}

async function startNode(scope: Scope, { binary, args = [] }: ClusterOptions) {
  let bus = 0
  const server = await startRedis(scope, {
    appendonly: true,
    ...(binary === undefined ? {} : { binary }),
    args: async () => {
      bus = await freePort()
      return [
        // Longer than a busy machine keeps a node from answering: the others would declare it dead.
        ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-node-timeout', '5000'],
        ...['--cluster-port', String(bus), '--cluster-announce-ip', '127.0.0.1', '--appendfsync', 'everysec', ...args],
      ]
    },
  })
  return { server, bus }
}

async function follow(replica: Redis, primary: Redis | undefined): Promise<void> {
  if (primary === undefined) return
  const id = String(await primary.call('CLUSTER', 'MYID'))
  await eventually(async () => (await replica.call('CLUSTER', 'REPLICATE', id)) === 'OK', { timeoutMs: 60_000 })
  await replicaOnline(primary)
}

async function servesAll(client: Redis): Promise<boolean> {
  const info = await client.cluster('INFO')
  return /cluster_state:ok/.test(info) && new RegExp(`cluster_slots_ok:${slots}\\b`).test(info)
}
