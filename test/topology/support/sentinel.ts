/** A primary, a replica and three sentinels that watch them; a failover takes about three seconds. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { createDaemon, type Daemon } from '../../support/daemon.ts'
import { freePort } from '../../support/port.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { replicaOnline } from '../../support/replicas.ts'
import { afterAllElse, type Scope } from '../../support/scope.ts'
import { eventually } from '../../support/wait.ts'

export const masterName = 'pipeline'

export interface SentinelSetup {
  readonly primary: RedisServer
  readonly replica: RedisServer
  readonly sentinels: readonly Daemon[]
  /** `host:port` of each sentinel. */
  readonly addresses: readonly string[]
  /** Resolves when the sentinels name the replica as the master and it accepts writes. */
  promoted(): Promise<void>
}

export interface SentinelOptions {
  readonly binary?: string | undefined
  readonly args?: readonly string[]
}

export async function startSentinels(scope: Scope, { binary, args = [] }: SentinelOptions = {}): Promise<SentinelSetup> {
  const program = binary === undefined ? {} : { binary }
  const primary = await startRedis(scope, { ...program, args })
  const replica = await startRedis(scope, { ...program, args: [...args, '--replicaof', '127.0.0.1', String(primary.port)] })
  const replicaClient = replica.client()
  await replicaOnline(primary.client())
  const started = await Promise.all([0, 1, 2].map((index) => startSentinel(scope, primary, index, binary)))
  const clients = started.map(({ port }) => primary.client({ port }))
  await Promise.all(clients.map(async (client) => await eventually(() => knowsAll(client), { timeoutMs: 60_000 })))
  return {
    primary,
    replica,
    sentinels: started.map(({ daemon }) => daemon),
    addresses: started.map(({ port }) => `127.0.0.1:${port}`),
    async promoted() {
      // Sentinels whose clock has jumped by two seconds, as on a machine that stood still, do nothing for half a minute.
      await eventually(async () => /role:master/.test(await replicaClient.info('replication')), { timeoutMs: 90_000 })
    },
  }
}

async function startSentinel(scope: Scope, primary: RedisServer, index: number, binary: string | undefined) {
  const port = await freePort()
  const folder = join(primary.folder, `sentinel-${index}`)
  await mkdir(folder)
  const file = join(folder, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor ${masterName} 127.0.0.1 ${primary.port} 2`,
    `sentinel down-after-milliseconds ${masterName} 1500`,
    `sentinel failover-timeout ${masterName} 4000`,
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const daemon = createDaemon({
    name: 'redis-sentinel',
    command: binary ?? process.env['REDIS_SERVER'] ?? 'redis-server',
    args: [file, '--sentinel'],
    ready: (log) => log.includes('+monitor master'),
    timeoutMs: 60_000,
  })
  afterAllElse(scope, async () => await daemon.kill('SIGKILL'))
  await daemon.start()
  return { port, daemon }
}

/** The other two sentinels, and the replica: before that, a failover would find neither quorum nor candidate. */
async function knowsAll(client: Redis): Promise<boolean> {
  const [state] = (await client.call('SENTINEL', 'MASTERS')) as string[][]
  const field = (name: string) => state?.[state.indexOf(name) + 1]
  return field('num-other-sentinels') === '2' && field('num-slaves') === '1'
}
