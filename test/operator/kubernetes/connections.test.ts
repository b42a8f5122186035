/** How many connections reach an API server, and by which ways: counted in between. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { loadCredentials } from '../../../operator/kubernetes/credentials.ts'
import type { Transport } from '../../../operator/kubernetes/transport.ts'
import { createTransport } from '../../../operator/kubernetes/transport.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startCli } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { eventually } from '../../support/wait.ts'
import { at, borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from '../cluster.ts'
import { kubeconfigBy, startConnectProxy, startHttp1Front, startTcpRelay } from '../relays.ts'

const leaseType = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases' }
const slow = { timeoutMs: 90_000 }
const pipelines = 50

async function fileOf(scope: Scope, config: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-kubeconfig-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'config')
  await writeFile(file, config)
  return file
}

/** So many watches that each hear of one change, and requests among them. */
async function watchAndAsk(transport: Transport, watches: number): Promise<void> {
  const stop = new AbortController()
  const heard = Array.from({ length: watches }, async (_, n) => {
    const query = { fieldSelector: `metadata.name=${n % 2 === 0 ? 'default' : 'kube-system'}` }
    for await (const event of transport.watch('/api/v1/namespaces', query, stop.signal)) return event.type
    return 'nothing'
  })
  const get = () => transport.request({ method: 'GET', path: '/api/v1/namespaces/default' })
  const answers = await Promise.all(Array.from({ length: 40 }, get))
  assert.equal(answers.length, 40)
  assert.deepEqual([...new Set(await Promise.all(heard))], ['ADDED'])
  stop.abort()
}

test('the ways to an API server', needsApiServer, async (suite) => {
  const [cluster, redis] = await Promise.all([borrowCluster(suite), startRedis(suite)])
  const { server } = cluster
  const { token } = await server.user('operator')

  await suite.test(`an operator of ${pipelines} pipelines has two connections, after an interruption too`, async (t) => {
    const relay = await startTcpRelay(t, server.port)
    const kubeconfig = await fileOf(t, kubeconfigBy(server, { port: relay.port, token }))
    const names = Array.from({ length: pipelines }, (_, n) => `p-${n}`)
    const items = names.map((name) => minimalPipeline(name, 'default', { redis: { url: redis.url } }))
    await cluster.apply({ apiVersion: 'v1', kind: 'List', items })
    const flags = [
      '--consumer-image',
      'c:1',
      '--namespaces',
      'default',
      '--kubeconfig',
      kubeconfig,
      '--network-policy',
      '--log-level',
      'debug',
    ]
    const listen = ['--metrics', '127.0.0.1:0', '--health', '127.0.0.1:0']
    const operator = await startCli(t, ['operator', ...flags, ...listen], { env: { POD_NAMESPACE: 'default' } })
    const reconciled = (when: string) =>
      eventually(async () => {
        const found = (await cluster.list(kinds.pipelineType, 'default')) as Loose[]
        const behind = found.filter(
          (each) =>
            conditionOf(each, 'Reconciled')?.reason !== 'ObjectsApplied' ||
            conditionOf(each, 'RedisReachable')?.reason !== 'RedisConnected' ||
            (each as { status?: { observedGeneration?: number } }).status?.observedGeneration !== each.metadata.generation,
        )
        assert.deepEqual(
          behind.map((each) => each.metadata.name),
          [],
          `not reconciled ${when}: ${JSON.stringify(at(behind[0], 'status.conditions'))}`,
        )
      }, slow)
    await reconciled('at first')
    await operator.output(/"leading"/)
    assert.deepEqual([relay.accepted, relay.open], [2, 2], 'none is opened in vain')

    const patchAll = async (batchSize: number) => {
      for (const name of names.slice(0, 20)) {
        await cluster.patch(kinds.pipelineType, 'default', name, { spec: { source: { batchSize } } })
        if (name.endsWith('5')) relay.cut()
      }
    }
    await patchAll(7)
    await reconciled('after the interruption')
    assert.ok(relay.accepted >= 4, 'it was interrupted')
    assert.ok(relay.most <= 2, `${relay.most} connections at once`)

    // Asked to stop during work, it finishes that work, then releases the Lease, then ends.
    await patchAll(9)
    assert.equal((await operator.stop('SIGTERM', 30_000)).code, 0)
    await eventually(() => assert.equal(relay.open, 0))
    // Waiting Events are written after the Lease is released: the next leader need not wait for them.
    const writes = (await server.requests()).filter(
      ({ user, verb, resource }) => user === 'operator' && resource !== 'events' && !['get', 'list', 'watch'].includes(verb),
    )
    assert.deepEqual([writes.at(-1)?.resource, writes.at(-1)?.verb], ['leases', 'update'])
    const lease = await cluster.get<Loose>(leaseType, 'default', 'streampipeline-operator')
    assert.deepEqual([at(lease, 'spec.holderIdentity'), at(lease, 'spec.leaseDurationSeconds')], ['', 1])
  })

  await suite.test('the operator reports itself alive, except while its loop is wedged', async (t) => {
    const relay = await startTcpRelay(t, server.port)
    const kubeconfig = await fileOf(t, kubeconfigBy(server, { port: relay.port, token }))
    const operator = await startOperator(t, cluster, { kubeconfig, wedgedMs: 400, numbersEveryMs: 100, observeEveryMs: 100 })
    const { health } = await operator.ports
    const probe = async (path: string) =>
      (await fetch(`http://127.0.0.1:${health}/${path}`, { headers: { connection: 'close' } })).status
    const client = redis.client()
    await client.xgroup('CREATE', 'lively:jobs', 'lively', '0', 'MKSTREAM')
    await cluster.apply(minimalPipeline('lively', 'default', { redis: { url: redis.url } }))
    const reported = async () =>
      at(await cluster.get<Loose>(kinds.pipelineType, 'default', 'lively'), 'status.backlog.undelivered')
    await client.xadd('lively:jobs', '*', 'n', 'first')
    await eventually(async () => assert.equal(await reported(), 1), slow)
    // On a busy machine a reconcile may still be under way for longer than this operator's 400 ms.
    await eventually(async () => assert.equal(await probe('livez'), 200), slow)
    relay.freeze(true)
    for (let n = 0; n < 30; n++) await client.xadd('lively:jobs', '*', 'n', String(n))
    await eventually(async () => assert.equal(await probe('livez'), 500), { timeoutMs: 8_000 })
    assert.equal(await probe('readyz'), 200, 'its caches are still good')
    relay.freeze(false)
    await eventually(async () => assert.equal(await probe('livez'), 200), slow)
    await eventually(async () => assert.equal(await reported(), 31), slow)
    assert.equal(await operator.stop(), 0)
  })

  await suite.test('watches that do not fit one connection get another', async (t) => {
    const relay = await startTcpRelay(t, server.port)
    const transport = createTransport(loadCredentials(await fileOf(t, kubeconfigBy(server, relay))))
    t.after(() => transport.close())
    await watchAndAsk(transport, 150)
    assert.equal(relay.accepted, 3)
  })

  await suite.test('where only HTTP/1.1 is spoken each watch has a connection of its own', async (t) => {
    const front = await startHttp1Front(t, server)
    const transport = createTransport(loadCredentials(await fileOf(t, kubeconfigBy(server, front))))
    t.after(() => transport.close())
    await watchAndAsk(transport, 12)
    assert.ok(front.accepted > 12, `${front.accepted} connections`)
  })

  await suite.test('a kubeconfig’s proxy-url is the only way taken, with its password, by two connections', async (t) => {
    const proxy = await startConnectProxy(t, { password: 's3cret/' })
    const by = (password: string) =>
      kubeconfigBy(server, { proxy: `http://user:${encodeURIComponent(password)}@127.0.0.1:${proxy.port}` })
    const transport = createTransport(loadCredentials(await fileOf(t, by('s3cret/'))))
    t.after(() => transport.close())
    await watchAndAsk(transport, 12)
    assert.deepEqual([[...proxy.targets], proxy.accepted], [[`127.0.0.1:${server.port}`], 2])

    const stranger = createTransport(loadCredentials(await fileOf(t, by('wrong'))))
    t.after(() => stranger.close())
    await assert.rejects(stranger.request({ method: 'GET', path: '/version' }), (thrown) => {
      assert.ok(thrown instanceof StreamPipelineError && thrown.code === 'KubernetesUnreachable', String(thrown))
      assert.match(thrown.message, /the proxy 127\.0\.0\.1 refuses to connect .*\(407\)/)
      assert.doesNotMatch(thrown.message, /wrong/)
      return true
    })
  })

  await suite.test('what waits for a connection is given up with its caller', async (t) => {
    const relay = await startTcpRelay(t, server.port)
    relay.freeze(true)
    const transport = createTransport(loadCredentials(await fileOf(t, kubeconfigBy(server, relay))))
    t.after(() => transport.close())
    const begunMs = performance.now()
    const asked = Array.from({ length: 5 }, () => {
      const signal = AbortSignal.timeout(300)
      return assert.rejects(transport.request({ method: 'GET', path: '/version', signal }), { name: 'TimeoutError' })
    })
    const watch = async () => {
      for await (const _ of transport.watch('/api/v1/namespaces', {}, AbortSignal.timeout(300)));
    }
    await Promise.all([...asked, assert.rejects(watch(), { name: 'TimeoutError' })])
    // By itself an attempt to connect lasts ten seconds, a request thirty.
    assert.ok(performance.now() - begunMs < 9_000)
  })

  await suite.test('a proxy of another kind is refused before anything is started', async (t) => {
    const file = await fileOf(t, kubeconfigBy(server, { proxy: 'socks4://user:s3cret@127.0.0.1:1080' }))
    assert.throws(
      () => loadCredentials(file),
      (thrown) => {
        assert.ok(thrown instanceof StreamPipelineError && thrown.code === 'InvalidOption', String(thrown))
        assert.match(thrown.message, /proxy-url is neither http/)
        assert.doesNotMatch(thrown.message, /s3cret/)
        return true
      },
    )
  })
})
