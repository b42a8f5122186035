/**
 * TLS with a private authority, client certificates, and a database of another number: spec.redis.tls through mounted references.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { pipelineType } from '../../../operator/plan/kinds.ts'
import { close, connect, open } from '../../../redis/connect/connection.ts'
import { borrowCluster, conditionOf, type Loose, minimalPipeline } from '../../operator/cluster.ts'
import { fileScope } from '../../redis/scope.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { freePort } from '../../support/port.ts'
import { runCli, startCli } from '../../support/process.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { type Certificates, makeCertificates } from '../../topology/support/certificates.ts'
import { numbers, openTopology, secret } from '../../topology/support/pipeline.ts'

let server: RedisServer
let certificates: Certificates
let url: string
const scope = fileScope()
before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-tls-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  certificates = await makeCertificates(folder)
  const { ca, server: own } = certificates
  const files = ['--tls-ca-cert-file', ca.certFile, '--tls-cert-file', own.certFile, '--tls-key-file', own.keyFile]
  // The plain port stays open for the test's own looks.
  server = await startRedis(scope, {
    args: async () => {
      const port = await freePort()
      url = `rediss://127.0.0.1:${port}/3`
      return ['--tls-port', String(port), ...files, '--tls-auth-clients', 'yes']
    },
  })
})

const references = ({ ca, client }: Certificates) => ({
  'secret/redis-tls/ca.crt': ca.cert,
  'secret/redis-tls/tls.crt': client.cert,
  'secret/redis-tls/tls.key': client.key,
})

const tls = {
  caFrom: secret('redis-tls', 'ca.crt'),
  certFrom: secret('redis-tls', 'tls.crt'),
  keyFrom: secret('redis-tls', 'tls.key'),
}

test('a private authority, a client certificate, the server’s own name, database 3', async (t) => {
  const topology = await openTopology(t, {
    spec: { redis: { url, tls: { ...tls, serverName: 'redis.test' } } },
    refs: references(certificates),
    redis: server.client({ db: 3 }),
  })
  const consumer = await topology.start()
  await topology.add(50)
  await topology.settled(numbers(50))
  const dispatcher = createDispatcher<{ job_id: number }>({
    pipeline: topology.document as never,
    refs: topology.folder,
    env: {},
  })
  t.after(() => dispatcher.close())
  await dispatcher.dispatch({ job_id: 50 })
  await topology.settled(numbers(51))
  assert.equal(await server.client().dbsize(), 0, 'nothing was written to another database')
  await consumer.stop()
})

/** The authority is not in the resource: Node's own variable names it. */
const { certFrom, keyFrom } = tls
const byVariable = () => ({ url, tls: { certFrom, keyFrom, serverName: 'redis.test' } })

test('a private authority that NODE_EXTRA_CA_CERTS names, for consumers and the command line', async (t) => {
  const env = { NODE_EXTRA_CA_CERTS: certificates.ca.certFile }
  const spec = { redis: byVariable(), source: { stream: 'extra' }, sink: { queue: 'extra' } }
  const topology = await openTopology(t, { spec, refs: references(certificates), redis: server.client({ db: 3 }), env })
  const consumer = await topology.start()
  await topology.add(20)
  await topology.settled(numbers(20))
  await consumer.stop()
  const config = join(topology.folder, 'pipeline.json')
  await writeFile(config, JSON.stringify(topology.document))
  const list = (more: Record<string, string>) =>
    runCli(t, ['dead', 'list', '-f', config, '--refs', topology.folder], { env: more })
  assert.equal((await list(env)).code, 0)
  const { code, stderr } = await list({})
  assert.notEqual(code, 0)
  assert.match(stderr, /TLS/)
})

test('a private authority that NODE_EXTRA_CA_CERTS names, for the operator', needsApiServer, async (t) => {
  const cluster = await borrowCluster(t)
  const { ca, client } = certificates
  const stringData = { 'tls.crt': client.cert, 'tls.key': client.key }
  await cluster.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'redis-tls', namespace: 'default' }, stringData })
  await cluster.apply(minimalPipeline('private', 'default', { redis: byVariable() }))
  const { kubeconfig } = await cluster.server.user('operator')
  const places = ['--kubeconfig', kubeconfig, '--metrics', '127.0.0.1:0', '--health', '127.0.0.1:0']
  const flags = ['operator', '--consumer-image', 'c:1', '--namespaces', 'default', ...places]
  const reported = async () => {
    const condition = conditionOf(await cluster.get<Loose>(pipelineType, 'default', 'private'), 'RedisReachable')
    return condition?.reason
  }
  const becomes = (reason: string) => eventually(async () => assert.equal(await reported(), reason), { timeoutMs: 90_000 })
  const without = await startCli(t, flags, { env: { POD_NAMESPACE: 'default' } })
  await becomes('RedisTlsFailed')
  await without.stop('SIGTERM', 30_000)
  await startCli(t, flags, { env: { POD_NAMESPACE: 'default', NODE_EXTRA_CA_CERTS: ca.certFile } })
  await becomes('RedisConnected')
})

const refused: [what: string, tls: (given: typeof tls) => object, refs: (made: Certificates) => Record<string, string>][] = [
  ['another authority', (given) => given, ({ otherCa }) => ({ 'secret/redis-tls/ca.crt': otherCa.cert })],
  ['a name that the certificate does not have', (given) => ({ ...given, serverName: 'other.test' }), () => ({})],
  ['no client certificate', ({ caFrom }) => ({ caFrom }), () => ({})],
]
for (const [what, change, refs] of refused) {
  test(`${what}: RedisTlsFailed`, async (t) => {
    const topology = await openTopology(t, {
      spec: { redis: { url, tls: change(tls) }, source: { stream: 'refused' } },
      refs: { ...references(certificates), ...refs(certificates) },
      redis: server.client({ db: 3 }),
    })
    const consumer = await topology.launch('pod-0')
    await consumer.output(/"code":"RedisTlsFailed"/)
    assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
  })
}

test('given up in the middle of a handshake that fails, a connection ends and nothing else does', async () => {
  const { ca, client } = certificates
  const address = {
    kind: 'Server',
    host: '127.0.0.1',
    port: Number(new URL(url).port),
    database: 0,
    label: 'redis',
    username: undefined,
    password: undefined,
    tls: { ca: ca.cert, cert: client.cert, key: client.key, serverName: 'other.test' },
  } as const
  // The second error of one socket has no listener: an uncaught exception, which fails the test.
  for (let round = 0; round < 300; round++) {
    const connection = connect(address, 'Observer')
    const opened = open(connection).catch((thrown: { code: string }) => thrown.code)
    for (let turns = round % 15; turns > 0; turns--) await setImmediate()
    await close(connection)
    assert.match(String(await opened), /^Redis(TlsFailed|Unreachable)$/)
  }
})

test('a server that hangs in the handshake ends nothing but the attempt, also where ioredis asks by itself', async () => {
  const shared = {
    nodes: [{ host: '127.0.0.1', port: Number(new URL(url).port) }],
    label: 'redis',
    username: undefined,
    password: undefined,
    tls: { ca: certificates.ca.cert, cert: certificates.client.cert, key: certificates.client.key, serverName: 'other.test' },
  } as const
  const sentinel = {
    kind: 'Sentinel',
    master: 'm',
    database: 0,
    sentinelUsername: undefined,
    sentinelPassword: undefined,
  } as const
  const connections = [connect({ ...shared, ...sentinel }, 'Writer'), connect({ ...shared, kind: 'Cluster' }, 'Writer')]
  await server.kill('SIGSTOP')
  const opened = connections.map((connection) => open(connection).catch((thrown: { code: string }) => thrown.code))
  // Longer than ioredis waits for a sentinel and for the slots: the server then reads the beginning of a handshake, and its end.
  await sleep(6_000)
  await server.kill('SIGCONT')
  await sleep(300)
  await Promise.all(connections.map(close))
  assert.deepEqual(await Promise.all(opened), ['RedisUnreachable', 'RedisUnreachable'])
})
