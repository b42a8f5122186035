/** Faults of Redis: the way to it, the user, its state, the types of its keys, and the fate of its data. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../support/port.ts'
import { type RedisServer, type RedisServerOptions, startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { makeCertificates } from '../../topology/support/certificates.ts'
import { corrected, type Fault, type Site } from './fault.ts'

const url = ({ port }: { port: number }) => `redis://127.0.0.1:${port}/0`
const healthy = async ({ patch, redis }: Site) =>
  patch({ redis: { url: redis.url, usernameFrom: null, passwordFrom: null, sentinel: null, tls: null } })

const secret = ({ cluster, object, name }: Site, data: Record<string, string>) =>
  cluster.apply(object('v1', 'Secret', name, { stringData: data }))

const unreachable = (name: string, redis: object, reason: string, reported: readonly RegExp[]): Fault => ({
  name,
  spec: () => ({ redis }),
  type: 'RedisReachable',
  reason,
  reported,
  mend: healthy,
})

/** A server with the answer `reply`. */
const notReady = (name: string, server: RedisServer, reply: string): Fault =>
  unreachable(name, { url: url(server) }, 'RedisNotReady', [
    new RegExp(`Redis at 127\\.0\\.0\\.1:${server.port} answers ${reply}`),
    /Wait until Redis accepts commands again: entries stay in the stream/,
  ])

const wrongType = (what: string, keyOf: (site: Site) => string, actual: 'string' | 'list', expected: string): Fault => ({
  name: `${what} that is a ${actual}`,
  before: async (site) => {
    if (actual === 'string') await site.client.set(keyOf(site), 'x')
    else await site.client.rpush(keyOf(site), 'x')
  },
  type: 'RedisReachable',
  reason: 'WrongKeyType',
  reported: [
    new RegExp(`holds a ${actual}, not a ${expected}`),
    /key \S*f-\d+|key sp:/,
    /choose another name in the spec, or remove the key/,
  ],
  mend: async (site) => void (await site.client.del(keyOf(site))),
})

const queueKey =
  (part: string) =>
  ({ name }: Site) =>
    `bull:${name}:${part}`

const keyFaults: readonly Fault[] = [
  wrongType('a stream', ({ name }) => `${name}:jobs`, 'string', 'stream'),
  wrongType('a dead-letter stream', ({ name }) => `{${name}:jobs}:dead`, 'list', 'stream'),
  wrongType('a registry of consumers', ({ keys }) => keys.consumers, 'string', 'hash'),
  wrongType('a ledger', ({ keys }) => keys.stats, 'list', 'hash'),
  wrongType('a waiting list', queueKey('wait'), 'string', 'list'),
  wrongType("a queue's meta", queueKey('meta'), 'string', 'hash'),
  wrongType('a set of delayed jobs', queueKey('delayed'), 'string', 'zset'),
]

const dataFaults: readonly Fault[] = [
  {
    name: 'entries trimmed unread',
    before: async ({ client, keys }) =>
      void (await client.hset(keys.stats, { base: 0, settled: 0, trimmedPending: 0, lost: 12 })),
    type: 'DataIntact',
    reason: 'EntriesLost',
    reported: [/12 entries were trimmed before a consumer read them/, /raise source\.retention\.maxEntries/],
    mend: async ({ client, keys }) => void (await client.del(keys.stats)),
  },
  {
    name: 'a full dead-letter stream',
    before: async ({ client, name }) => void (await client.xadd(`{${name}:jobs}:dead`, '*', 'a', 'b')),
    spec: () => ({ deadLetter: { maxEntries: 1 } }),
    type: 'DataIntact',
    reason: 'DeadLettersFull',
    reported: [/dead-letter stream \{f-\d+:jobs\}:dead holds deadLetter\.maxEntries \(1\)/, /Replay or purge them/],
    mend: corrected({ deadLetter: { maxEntries: 10 } }),
  },
  {
    name: 'a queue over maxWaiting',
    before: async ({ client, name }) => void (await client.rpush(`bull:${name}:wait`, 'a', 'b')),
    spec: ({ name }) => ({ sink: { bullmq: { queue: name, maxWaiting: 2 } } }),
    type: 'ScalingActive',
    reason: 'QueueFull',
    reported: [/queue f-\d+ holds 2 waiting jobs, sink\.bullmq\.maxWaiting is 2/, /Add workers, or raise maxWaiting/],
    mend: async ({ client, name }) => void (await client.del(`bull:${name}:wait`)),
  },
  {
    name: 'a paused queue',
    before: async ({ client, name }) => void (await client.hset(`bull:${name}:meta`, 'paused', '1')),
    type: 'ScalingActive',
    reason: 'QueuePaused',
    reported: [/queue f-\d+ is paused/, /Resume it with Queue\.resume/],
    mend: async ({ client, name }) => void (await client.del(`bull:${name}:meta`)),
  },
  {
    name: 'strangers in the group',
    spec: () => ({ scaling: { minReplicas: 0 } }),
    before: async ({ client, name }) => {
      await client.xgroup('CREATE', `${name}:jobs`, name, '0', 'MKSTREAM')
      await client.xgroup('CREATECONSUMER', `${name}:jobs`, name, 'cron-job')
    },
    type: 'ConsumersAvailable',
    reason: 'GroupShared',
    reported: [/shared with consumers that are not this pipeline's \(cron-job\)/, /a group of its own/],
    mend: async ({ client, name }) => void (await client.xgroup('DELCONSUMER', `${name}:jobs`, name, 'cron-job')),
  },
]

/** Starts the servers in which something is wrong. */
export async function redisFaults(scope: Scope): Promise<readonly Fault[]> {
  const slowly = ['--key-load-delay', '8000', '--loading-process-events-interval-bytes', '1024', '--enable-debug-command', 'yes']
  const away = ['--replicaof', '127.0.0.1', '1']
  const options: readonly RedisServerOptions[] = [
    { password: 'p4ss-good' },
    {},
    { args: [...away, '--replica-serve-stale-data', 'yes'] },
    { args: [...away, '--replica-serve-stale-data', 'no'] },
    { args: ['--min-replicas-to-write', '1'] },
    { args: slowly },
    { args: ['--cluster-enabled', 'yes'] },
  ]
  const [guarded, server, replica, orphan, lonely, loading, node] = (await Promise.all(
    options.map((each) => startRedis(scope, each)),
  )) as [RedisServer, RedisServer, RedisServer, RedisServer, RedisServer, RedisServer, RedisServer]
  const full = await startRedis(scope)
  const evicting = await startRedis(scope)
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-certificates-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const authorities = await makeCertificates(folder)
  const tlsPort = await freePort()
  const files = ['--tls-cert-file', authorities.server.certFile, '--tls-key-file', authorities.server.keyFile]
  await startRedis(scope, {
    args: ['--tls-port', String(tlsPort), ...files, '--tls-ca-cert-file', authorities.ca.certFile, '--tls-auth-clients', 'no'],
  })
  const admin = server.client()
  await admin.call('ACL', 'SETUSER', 'weak', 'on', '>pw', '~*', '+@all', '-xinfo')
  await admin.call('ACL', 'SETUSER', 'halfblind', 'on', '>pw', '~*', '+@all', '-xinfo|consumers')
  await admin.call('ACL', 'SETUSER', 'blind', 'on', '>pw', '~other:*', '+@all')
  await full.client().config('SET', 'maxmemory', '1')
  await evicting.client().config('SET', 'maxmemory-policy', 'allkeys-lru')
  await node.client().call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  const loader = loading.client()
  await loader.call('DEBUG', 'POPULATE', '1500')
  await loader.call('SAVE')

  const user = (
    name: string,
    password: string,
    username: string | undefined,
    port: number,
    more: Pick<Fault, 'reason' | 'reported'>,
  ): Fault => ({
    name,
    before: (site) => secret(site, { password, ...(username === undefined ? {} : { username }) }),
    spec: (site) => ({
      redis: {
        url: url({ port }),
        passwordFrom: { secretKeyRef: { name: site.name, key: 'password' } },
        ...(username === undefined ? {} : { usernameFrom: { secretKeyRef: { name: site.name, key: 'username' } } }),
      },
    }),
    type: 'RedisReachable',
    mend: healthy,
    ...more,
  })
  const auth = {
    reason: 'RedisAuthFailed',
    reported: [/refused the user or password/, /127\.0\.0\.1:\d+/, /Correct the user and password/],
  }
  const right = (what: RegExp) => ({ reason: 'RedisPermissionDenied', reported: [/lacks a right/, what, /ACL SETUSER/] })
  const weak = right(/XINFO STREAM on \S+:jobs.* \(grant .*\+xinfo\|stream/)
  const unfit = { type: 'RedisReachable', reason: 'RedisUnfit' } as const

  const tls = (name: string, more: { caFrom?: 'otherCa'; serverName?: string }): Fault => ({
    name,
    before: (site) => secret(site, { ca: (more.caFrom === 'otherCa' ? authorities.otherCa : authorities.ca).cert }),
    spec: (site) => ({
      redis: {
        url: `rediss://127.0.0.1:${tlsPort}/0`,
        tls: {
          caFrom: { secretKeyRef: { name: site.name, key: 'ca' } },
          ...(more.serverName === undefined ? {} : { serverName: more.serverName }),
        },
      },
    }),
    type: 'RedisReachable',
    reason: 'RedisTlsFailed',
    reported: [new RegExp(`TLS handshake with Redis at 127\\.0\\.0\\.1:${tlsPort} failed`), /caFrom must hold the CA/],
    mend: async (site) => {
      await secret(site, { ca: authorities.ca.cert })
      await site.patch({ redis: { tls: { serverName: null } } })
    },
  })

  return [
    unreachable('a port where nothing listens', { url: 'redis://127.0.0.1:1/0' }, 'RedisUnreachable', [
      /127\.0\.0\.1:1/,
      /ECONNREFUSED/,
      /Check the address/,
    ]),
    unreachable('a host that does not exist', { url: 'redis://redis.invalid/0' }, 'RedisUnreachable', [
      /redis\.invalid:6379/,
      /Check the address/,
    ]),
    unreachable('Sentinels that are all away', { sentinel: { master: 'm', nodes: ['127.0.0.1:1'] } }, 'RedisUnreachable', [
      /Sentinel 127\.0\.0\.1:1/,
      /Check the address/,
    ]),
    tls('a CA that did not sign the server', { caFrom: 'otherCa' }),
    tls('a server name that is not in the certificate', { serverName: 'elsewhere' }),
    { ...unreachable('no password', { url: url(guarded) }, 'RedisAuthFailed', auth.reported) },
    user('a wrong password', 'p4ss-bad', undefined, guarded.port, auth),
    user('a user that lacks a command', 'pw', 'weak', server.port, weak),
    {
      ...user('a user that lacks a command without which nothing can be seen', 'pw', 'weak', server.port, weak),
      before: async (site) => {
        await secret(site, { password: 'pw', username: 'weak' })
        await admin.xadd(`${site.name}:jobs`, '*', 'a', '1')
      },
    },
    {
      ...user(
        'a user that may not list consumers',
        'pw',
        'halfblind',
        server.port,
        right(/XINFO CONSUMERS on \S+:jobs \(grant \+xinfo\|consumers\)/),
      ),
      before: async (site) => {
        await secret(site, { password: 'pw', username: 'halfblind' })
        await admin.xgroup('CREATE', `${site.name}:jobs`, site.name, '0', 'MKSTREAM')
      },
    },
    user('a user that may not see the keys', 'pw', 'blind', server.port, right(/any command on \S+:jobs.*\(grant .*~/)),
    notReady('a replica', replica, 'READONLY'),
    notReady('a replica without its master', orphan, 'MASTERDOWN'),
    notReady('a master without its replicas', lonely, 'NOREPLICAS'),
    {
      ...notReady('a server that is loading', loading, 'LOADING'),
      after: async () => void loading.restart('SIGKILL').catch(() => undefined),
      mend: async () => undefined,
    },
    {
      ...unreachable('a Redis out of memory', { url: url(full) }, 'RedisOutOfMemory', [
        /out of memory/,
        new RegExp(String(full.port)),
        /Raise maxmemory/,
      ]),
      mend: async () => void (await full.client().config('SET', 'maxmemory', '0')),
    },
    {
      name: 'a Redis that evicts',
      spec: () => ({ redis: { url: url(evicting) } }),
      ...unfit,
      reported: [/maxmemory-policy is allkeys-lru/, new RegExp(String(evicting.port)), /CONFIG SET maxmemory-policy noeviction/],
      mend: async () => void (await evicting.client().config('SET', 'maxmemory-policy', 'noeviction')),
    },
    {
      name: 'keys in several slots of a Redis Cluster',
      spec: () => ({ redis: { url: url(node) }, deadLetter: { stream: 'elsewhere' } }),
      ...unfit,
      reported: [/node of a Redis Cluster/, /elsewhere/, /spec\.redis\.cluster/],
      mend: healthy,
    },
    {
      name: "a queue's own Redis that is away",
      spec: ({ name }) => ({ sink: { bullmq: { queue: name, redis: { url: 'redis://127.0.0.1:2/0' } } } }),
      type: 'RedisReachable',
      reason: 'RedisUnreachable',
      reported: [/127\.0\.0\.1:2/, /Check the address/],
      mend: corrected({ sink: { bullmq: { redis: null } } }),
    },
    ...keyFaults,
    ...dataFaults,
  ]
}
