/**
 * Two servers with the wire before them. The product connects as the default user, which gets the documented rights and no other.
 */
import type { Redis } from 'ioredis'
import { openBullQueue } from '../../../redis/bullmq/queue.ts'
import { close, connect } from '../../../redis/connect/connection.ts'
import { aclRules } from '../../../redis/preflight/permissions.ts'
import type { PathKind } from '../../../redis/settle/path.ts'
import { auditLedger } from '../../../redis/stream/ledger.ts'
import { type OpenPath, openPath, type PathChanges } from '../../paths/fixture.ts'
import { address } from '../../redis/resource.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { type Kind, openWire, type Wire } from './wire.ts'

export interface Rig {
  readonly wire: Wire
  open(scope: Scope, kind: PathKind, changes: PathChanges): Promise<World>
}

/** One path on the rig, opened with the documented rights. */
export interface World {
  readonly kind: PathKind
  readonly wire: Wire
  readonly path: OpenPath
  /** The consumer's own connections and path, which go through the wire. */
  readonly consumer: OpenPath['connections']
  readonly direct: Awaited<ReturnType<OpenPath['direct']>>
  /** Empties the servers, makes the group. */
  reset(): Promise<void>
  /** Rows of the ACL log since the last reset, oldest first: own refusals and traces, and all others. */
  denied(taken?: string): Promise<Denied>
  /** Rights that were missing when the path was opened. They are not reported again at each reconnection. */
  readonly opening: readonly string[]
  /** Grants the documented rights, and these rules. */
  grant(rules: readonly string[]): Promise<void>
  /** Ends a setting that makes a server refuse everything. */
  lift(): Promise<void>
}

export interface Denied {
  /** `refusal|script|run|call|place|command|key` */
  readonly ours: readonly string[]
  /** Documented rights that were refused to the product. */
  readonly genuine: readonly string[]
}

const root = { username: 'root', password: 'root' }

export async function openRig(scope: Scope): Promise<Rig> {
  const servers = [await startRedis(scope), await startRedis(scope)]
  const admins: Redis[] = []
  for (const server of servers) {
    await server.client().call('ACL', 'SETUSER', root.username, 'on', `>${root.password}`, '~*', '&*', '+@all')
    const admin = server.client(root)
    // A trace of a long batch must fit; and trimming removes whole nodes.
    await admin.config('SET', 'acllog-max-len', '1000000', 'stream-node-max-entries', '4')
    admins.push(admin)
  }
  const litters: string[] = ['', '']
  const struck = new Set<Redis>()
  const wire = await openWire(scope, {
    servers,
    bull: await bullTexts(servers),
    litter: (server) => litters[server] ?? '',
    async strike(kind, server, command) {
      const admin = admins[server]
      if (admin === undefined) throw new Error(`there is no server ${server}`)
      struck.add(admin)
      await refuseAll(admin, kind, command)
    },
  })
  const [stream, queue] = servers.map((server, index) => proxied(server, wire.ports[index] ?? 0))
  if (stream === undefined || queue === undefined) throw new Error('a Redis is missing')
  const grant = async (rules: readonly (readonly string[] | undefined)[]) => {
    for (const [index, admin] of admins.entries()) {
      const granted = rules[index] ?? ['~*', '&*', '+@all']
      await admin.call('ACL', 'SETUSER', 'default', 'reset', 'on', 'nopass', ...granted)
    }
  }

  return {
    wire,
    async open(inner, kind, changes) {
      await grant([])
      const path = await openPath(inner, kind, { stream, queue }, changes)
      const rules = aclRules(path.pipeline)
      await grant([rules.stream, rules.queue])
      litters[0] = `${path.place.keys.prefix}refusal`
      litters[1] = `${path.target.keys.prefix}refusal`
      for (const admin of admins) await admin.call('ACL', 'LOG', 'RESET')
      const consumer = await path.openSettlePath()
      const direct = await path.direct()
      const opening = (await deniedOf(admins)).genuine
      const reset = async () => {
        for (const [index, admin] of admins.entries()) {
          await admin
            .pipeline()
            .flushall()
            .set(litters[index] ?? '', 'x')
            .call('ACL', 'LOG', 'RESET')
            .exec()
        }
        await path.stream.xgroup('CREATE', path.place.stream, path.place.group, '0', 'MKSTREAM')
        await path.stream.hset(path.place.keys.stats, { group: path.place.group })
        await auditLedger(path.stream, path.place)
      }
      let extra: readonly string[] = []
      const grantAll = async () =>
        await grant([rules.stream, rules.queue].map((documented) => documented && [...documented, ...extra]))
      const lift = async () => {
        for (const admin of struck) await admin.pipeline().config('SET', 'maxmemory', '0').call('REPLICAOF', 'NO', 'ONE').exec()
        if (struck.size > 0) await grantAll()
        struck.clear()
      }
      const more = async (granted: readonly string[]) => {
        extra = granted
        await grantAll()
      }
      return {
        kind,
        wire,
        path,
        consumer,
        direct,
        opening,
        reset,
        lift,
        grant: more,
        denied: async (taken) => await deniedOf(admins, [...opening, ...(taken === undefined ? [] : [`command ${taken}`])]),
      }
    },
  }
}

/** Clients of tests connect to the server and may do all. Connections of the product go through the wire. */
function proxied(server: RedisServer, port: number): RedisServer {
  return { ...server, port, client: (options) => server.client({ ...root, ...options }) }
}

async function refuseAll(admin: Redis, kind: Kind, command: string): Promise<void> {
  if (kind === 'OOM') await admin.config('SET', 'maxmemory', '1')
  else if (kind === 'RIGHT') await admin.call('ACL', 'SETUSER', 'default', `-${command}`)
  else await admin.call('REPLICAOF', '127.0.0.1', '1')
}

async function bullTexts([server]: readonly RedisServer[]): Promise<ReadonlyMap<string, string>> {
  const connection = connect(address(server?.port ?? 0), 'Writer')
  const bull = await openBullQueue(connection, 'texts', 'bull')
  const texts = new Map([...bull.scripts].map(([name, { lua }]) => [name, lua]))
  await bull.close()
  await close(connection)
  return texts
}

/** @param expected refusals with a good reason, or reported before */
async function deniedOf(admins: readonly Redis[], expected: readonly string[] = []): Promise<Denied> {
  const logs = await Promise.all(admins.map((admin) => admin.call('ACL', 'LOG', '1000000')))
  const rows = (logs as string[][][]).flatMap((log) => log.toReversed())
  const field = (row: readonly string[], name: string) => String(row[row.indexOf(name) + 1])
  const ours = (row: readonly string[]) => field(row, 'object').startsWith('refusal|')
  const reported = (row: readonly string[]) => `${field(row, 'reason')} ${field(row, 'object')}`
  return {
    ours: rows.filter(ours).map((row) => field(row, 'object')),
    genuine: rows.filter((row) => !ours(row) && !expected.includes(reported(row))).map(reported),
  }
}
