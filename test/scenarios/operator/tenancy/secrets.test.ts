/** Secrets that pipelines may not name, servers that the operator does not connect to, and what status keeps to itself. */
import '../../../support/leaks.ts'
import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import * as kinds from '../../../../operator/plan/kinds.ts'
import { borrowCluster, conditionOf, minimalPipeline, startOperator } from '../../../operator/cluster.ts'
import { needsApiServer } from '../../../support/apiserver.ts'
import { freePort } from '../../../support/port.ts'
import { startRedis } from '../../../support/redis.ts'
import { eventually } from '../../../support/wait.ts'

const patience = { timeoutMs: 40_000, intervalMs: 100 }

/** A server that is no Redis. It keeps all received data. */
async function peer(t: TestContext, greet: (socket: Socket) => void = () => {}) {
  const got: Buffer[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => got.push(Buffer.from(data)))
    greet(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: `redis://127.0.0.1:${port}/0`, sent: () => Buffer.concat(got).toString(), connections: () => connections }
}

const secretNamed = (name: string, data: Record<string, string>, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'default', labels },
  stringData: data,
})
const from = (name: string, key: string) => ({ secretKeyRef: { name, key } })

test('a pipeline gets the Secrets that are for pipelines, and no others', needsApiServer, async (t) => {
  const [cluster, redis, sink] = await Promise.all([borrowCluster(t), startRedis(t), peer(t)])
  const limits = { secretLabel: 'streampipeline.dev/for=pipelines', localRedis: 'allow' }
  await cluster.apply(secretNamed('db', { password: 'hunter2-not-readable', url: redis.url }))
  await startOperator(t, cluster, { limits })
  const condition = async (name: string, type: string) =>
    conditionOf(await cluster.get(kinds.pipelineType, 'default', name), type)

  await cluster.apply(minimalPipeline('auth', 'default', { redis: { url: sink.url, passwordFrom: from('db', 'password') } }))
  await cluster.apply(minimalPipeline('whole', 'default', { redis: { urlFrom: from('db', 'url') } }))
  const pods: readonly (readonly [string, Record<string, unknown>])[] = [
    ['env', { env: [{ name: 'A', valueFrom: from('db', 'password') }] }],
    ['env-from', { envFrom: [{ secretRef: { name: 'db' } }] }],
    ['volume', { volumes: [{ name: 'v', secret: { secretName: 'db' } }] }],
    ['projected', { volumes: [{ name: 'v', projected: { sources: [{ secret: { name: 'db' } }] } }] }],
    ['csi', { volumes: [{ name: 'v', csi: { driver: 'x', nodePublishSecretRef: { name: 'db' } } }] }],
    ['pull', { imagePullSecrets: [{ name: 'db' }] }],
  ]
  for (const [name, consumer] of pods)
    await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url }, consumer }))
  for (const name of ['auth', 'whole', ...pods.map(([each]) => each)]) {
    await eventually(async () => {
      const reported = await condition(name, 'Reconciled')
      assert.equal(reported?.reason, 'ReferenceRefused', `${name}: ${JSON.stringify(reported)}`)
      assert.match(reported.message, /kubectl label secret db -n default streampipeline.dev\/for=pipelines/i)
    }, patience)
    assert.equal(await cluster.get(kinds.deploymentType, 'default', `${name}-consumer`), undefined)
  }
  await eventually(async () => assert.equal((await condition('auth', 'RedisReachable'))?.reason, 'ReferenceRefused'), patience)
  assert.doesNotMatch(sink.sent(), /hunter2/)

  await cluster.apply(
    secretNamed('db', { password: 'hunter2-not-readable', url: redis.url }, { 'streampipeline.dev/for': 'pipelines' }),
  )
  for (const name of ['whole', ...pods.map(([each]) => each)])
    await eventually(async () => assert.equal((await condition(name, 'Reconciled'))?.reason, 'ObjectsApplied', name), patience)

  await t.test('its own Secret is never one of them', async () => {
    const other = await peer(t)
    const signing = from('streampipeline-operator-signing', 'key')
    await cluster.apply(minimalPipeline('thief', 'default', { redis: { url: other.url, passwordFrom: signing } }))
    await eventually(async () => assert.equal((await condition('thief', 'Reconciled'))?.reason, 'PolicyRefused'), patience)
    assert.equal(other.connections(), 0)
  })
})

test('a url that only a Secret holds is judged before anything is connected to', needsApiServer, async (t) => {
  const [cluster, sink] = await Promise.all([borrowCluster(t), peer(t)])
  await cluster.apply(secretNamed('db', { url: sink.url.replace('//', '//user:s3cret@') }))
  await startOperator(t, cluster, { limits: { localRedis: 'refuse', redisHosts: '*.{namespace}.svc,127.0.0.1' } })
  await cluster.apply(minimalPipeline('local', 'default', { redis: { urlFrom: from('db', 'url') } }))
  const redisOf = async () => conditionOf(await cluster.get(kinds.pipelineType, 'default', 'local'), 'RedisReachable')
  await eventually(async () => assert.equal((await redisOf())?.reason, 'RedisAddressRefused'), patience)
  assert.match((await redisOf())?.message ?? '', /may not connect to 127\.0\.0\.1: .*metadata service/)
  assert.equal(sink.connections(), 0)
})

test('where many teams read status, peers that are no Redis are reported alike', needsApiServer, async (t) => {
  const cluster = await borrowCluster(t)
  const banner = await peer(t, (socket) => socket.write('SSH-2.0-OpenSSH_9.9\r\n'))
  const pop = await peer(t, (socket) => socket.write('+OK POP3 ready\r\n'))
  const silent = await peer(t)
  const closing = await peer(t, (socket) => socket.end())
  const unusedPort = `redis://127.0.0.1:${await freePort()}/0`
  const urls = {
    banner: banner.url,
    silent: silent.url,
    closing: closing.url,
    unused: unusedPort,
    unknown: 'redis://no-such-host.invalid:6379/0',
    plain: silent.url.replace('redis:', 'rediss:'),
    shut: unusedPort.replace('redis:', 'rediss:'),
    lines: pop.url,
  }
  const operator = await startOperator(t, cluster, { manyTeams: true })
  for (const [name, url] of Object.entries(urls)) await cluster.apply(minimalPipeline(name, 'default', { redis: { url } }))
  const texts = new Set<string>()
  for (const [name, url] of Object.entries(urls)) {
    await eventually(async () => {
      const found = await cluster.get(kinds.pipelineType, 'default', name)
      const reported = conditionOf(found, 'RedisReachable')
      assert.equal(reported?.status, 'False', name)
      assert.equal(reported.reason, 'RedisUnreachable', `${name}: ${reported.message}`)
      const { host } = new URL(url)
      texts.add(reported.message.replaceAll(host, 'ADDRESS'))
      assert.doesNotMatch(JSON.stringify(found), /ECONNREFUSED|ETIMEDOUT|ENOTFOUND|SSH|POP3|EPROTO|protocol error/i)
    }, patience)
  }
  assert.deepEqual(texts.size, 1, [...texts].join('\n'))
  assert.match(operator.lines.join('\n'), /ECONNREFUSED/, 'the operator’s log keeps the reason')
})
