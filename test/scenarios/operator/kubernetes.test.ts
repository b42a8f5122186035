/** The Kubernetes layer against a real API server. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createApplier } from '../../../operator/kubernetes/apply.ts'
import { loadCredentials } from '../../../operator/kubernetes/credentials.ts'
import { createElector } from '../../../operator/kubernetes/elector.ts'
import { microTime, see, takeableInMs } from '../../../operator/kubernetes/lease.ts'
import { compareVersions, type KubernetesObject } from '../../../operator/kubernetes/objects.ts'
import { clip, createRecorder } from '../../../operator/kubernetes/recorder.ts'
import { createReflector } from '../../../operator/kubernetes/reflector.ts'
import { createStore } from '../../../operator/kubernetes/store.ts'
import { createTransport } from '../../../operator/kubernetes/transport.ts'
import { systemClock } from '../../../process/clock.ts'
import { at, type Loose, startCluster } from '../../operator/cluster.ts'
import { fixedSource } from '../../operator/credentials.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { shortest } from '../../support/shortest.ts'
import { eventually } from '../../support/wait.ts'

const type = { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps' }
const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'parent', uid: 'u-1', controller: true }
const never = new AbortController().signal
/** The longer an API server needs to come back, the longer are the pauses between two attempts. */
const slow = { timeoutMs: 60_000 }

const configMap = (name: string, data: Record<string, string>, more: KubernetesObject['metadata'] = {}): KubernetesObject =>
  ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', ...more }, data }) as KubernetesObject

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'none'
  } catch (thrown) {
    assert.ok(thrown instanceof StreamPipelineError, String(thrown))
    return thrown.code
  }
}

test('the Kubernetes layer on an API server', needsApiServer, async (suite) => {
  const cluster = await startCluster(suite)
  const { transport, server } = cluster

  await suite.test('a burst of requests and many watches share two connections', async (t) => {
    const shared = createTransport(loadCredentials(server.kubeconfig))
    t.after(() => shared.close())
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
    const before = sockets()
    const stop = new AbortController()
    const watches = Array.from({ length: 12 }, async () => {
      try {
        for await (const _ of shared.watch('/api/v1/configmaps', { resourceVersion: '0' }, stop.signal));
      } catch (thrown) {
        if (!stop.signal.aborted) throw thrown
      }
    })
    const get = () => shared.request({ method: 'GET', path: '/api/v1/namespaces/default' })
    await Promise.all(Array.from({ length: 200 }, get))
    assert.ok(sockets() - before <= 2, `${sockets() - before} connections`)
    stop.abort()
    await Promise.all(watches)
  })

  await suite.test('answers become the errors of the catalogue by their reason', async (t) => {
    const rightless = createTransport(
      fixedSource({ ...(await loadCredentials(server.kubeconfig).current()), headers: { authorization: 'Bearer nobody' } }),
    )
    t.after(() => rightless.close())
    const nowhere = createTransport(fixedSource({ server: 'https://127.0.0.1:1', headers: {}, tls: {} }))
    t.after(() => nowhere.close())
    const path = '/api/v1/namespaces/default/configmaps'
    const operator = createTransport(loadCredentials((await server.user('operator')).kubeconfig))
    t.after(() => operator.close())
    const post = (body: unknown) => transport.request({ method: 'POST', path, body })
    await post(configMap('twice', {}))
    assert.deepEqual(
      [
        await codeOf(transport.request({ method: 'GET', path: `${path}/absent` })),
        await codeOf(post(configMap('twice', {}))),
        await codeOf(post(configMap('Not A Name', {}))),
        await codeOf(operator.request({ method: 'GET', path: '/api/v1/nodes' })),
        await codeOf(rightless.request({ method: 'GET', path })),
        await codeOf(nowhere.request({ method: 'GET', path })),
      ],
      [
        'KubernetesNotFound',
        'KubernetesConflict',
        'KubernetesRefused',
        'KubernetesForbidden',
        'KubernetesUnauthorized',
        'KubernetesUnreachable',
      ],
    )
  })

  await suite.test('apply creates, skips what is unchanged, mends drift, and makes anew what was deleted', async () => {
    const applier = createApplier(transport, 'streampipeline')
    const desired = configMap('owned', { a: '1' }, { ownerReferences: [owner] })
    const live = () => cluster.get<Loose>(type, 'default', 'owned')
    const apply = async (object: KubernetesObject) =>
      (await applier.apply({ type, desired: object, owner, cached: await live() }, never)).kind
    assert.equal(await apply(desired), 'Applied')
    const version = (await live())?.metadata.resourceVersion
    assert.equal(await apply(desired), 'Skipped')
    assert.equal((await live())?.metadata.resourceVersion, version)
    await cluster.patch(type, 'default', 'owned', { data: { a: 'edited', b: 'theirs' } })
    assert.equal(await apply(desired), 'Applied')
    assert.deepEqual(at(await live(), 'data'), { a: '1', b: 'theirs' }, 'what is not ours is left alone')
    assert.equal(await apply(desired), 'Skipped')
    const uid = (await live())?.metadata.uid
    await cluster.remove(type, 'default', 'owned')
    applier.forget(type, 'default/owned', uid)
    assert.equal(await apply(desired), 'Applied')
    assert.notEqual((await live())?.metadata.uid, uid)
    const restarted = createApplier(transport, 'streampipeline')
    const before = (await live())?.metadata.resourceVersion
    assert.equal(
      (await restarted.apply({ type, desired, owner, cached: await live() }, never)).kind,
      'Skipped',
      'as the object tells',
    )
    const blind = createApplier(transport, 'streampipeline')
    assert.equal((await blind.apply({ type, desired, owner, cached: undefined }, never)).kind, 'Applied')
    assert.equal((await live())?.metadata.resourceVersion, before, 'an apply of the same changes nothing')
    await cluster.patch(type, 'default', 'owned', { data: { a: 'edited' } })
    const mending = createApplier(transport, 'streampipeline')
    assert.equal((await mending.apply({ type, desired, owner, cached: await live() }, never)).kind, 'Applied')
    assert.equal(at(await live(), 'data.a'), '1')
  })

  await suite.test("apply refuses a stranger's object and leaves it byte for byte", async () => {
    const applier = createApplier(transport, 'streampipeline')
    await cluster.apply(configMap('strange', { theirs: 'x' }))
    const before = await cluster.get(type, 'default', 'strange')
    const desired = configMap('strange', { a: '1' }, { ownerReferences: [owner] })
    assert.equal(await codeOf(applier.apply({ type, desired, owner, cached: undefined }, never)), 'NameTaken')
    assert.deepEqual(await cluster.get(type, 'default', 'strange'), before)
    const writes = async () => (await server.requests()).filter(({ name, verb }) => name === 'strange' && verb !== 'get').length
    const written = await writes()
    assert.equal(await codeOf(applier.apply({ type, desired, owner, cached: undefined }, never)), 'NameTaken')
    assert.equal(await writes(), written, 'the next try sends no write in vain')
  })

  await suite.test('an object that nobody has is created without a read, and of two creations one wins', async () => {
    const stages = (object: KubernetesObject) => [
      { manager: 'scaler', object },
      { manager: 'streampipeline', object },
    ]
    const desired = configMap('fresh', { a: '1' }, { ownerReferences: [owner] })
    const request = { type, desired, owner, cached: undefined, stages }
    const appliers = [createApplier(transport, 'streampipeline'), createApplier(transport, 'streampipeline')]
    const outcomes = await Promise.all(appliers.map((each) => each.apply(request, never)))
    const created = outcomes.map((outcome) => outcome.kind === 'Applied' && outcome.created)
    assert.deepEqual(created.toSorted(), [false, true])
    const requests = (await server.requests()).filter(({ name }) => name === 'fresh')
    assert.equal(requests.filter(({ verb }) => verb === 'get').length, 1, 'the second one read it')
    assert.equal(at(await cluster.get<Loose>(type, 'default', 'fresh'), 'data.a'), '1')
  })

  await suite.test('a reflector follows changes, also across a crash of the API server', async (t) => {
    const own = createTransport(loadCredentials(server.kubeconfig))
    const stop = new AbortController()
    const store = createStore<Loose>()
    const reflector = createReflector<Loose>(
      { transport: own, clock: systemClock, type, namespace: 'default', labelSelector: 'followed' },
      store,
    )
    const run = reflector.run(stop.signal)
    t.after(async () => {
      stop.abort()
      await run
      await own.close()
    })
    await reflector.whenSynced
    const labels = { followed: 'yes' }
    await cluster.apply(configMap('one', { n: '1' }, { labels }))
    await eventually(() => assert.equal(at(store.get('default/one'), 'data.n'), '1'), slow)
    assert.equal(store.get('default/one')?.metadata.managedFields, undefined)
    await server.apiserver.kill()
    await server.apiserver.start()
    await cluster.apply(configMap('one', { n: '2' }, { labels }))
    await cluster.apply(configMap('two', { n: '1' }, { labels }))
    await eventually(
      () =>
        assert.deepEqual(
          store.list().map((object) => at(object, 'data.n')),
          ['2', '1'],
        ),
      slow,
    )
    await cluster.remove(type, 'default', 'one')
    await eventually(() => assert.equal(store.size, 1), slow)
  })

  await suite.test('one leader at a time: after a crash the other waits a full lease, after a release it does not', async (t) => {
    const leaders: string[] = []
    const start = (identity: string, timings: { leaseMs: number; renewDeadlineMs: number; retryMs: number }) => {
      const own = createTransport(loadCredentials(server.kubeconfig))
      const stop = new AbortController()
      const elector = createElector({
        transport: own,
        clock: systemClock,
        namespace: 'default',
        name: 'elected',
        identity,
        ...timings,
      })
      const done = elector.run(stop.signal, async (term) => {
        assert.equal(leaders.length, 0, 'nobody else leads')
        leaders.push(identity)
        await new Promise<void>((resolve) => term.addEventListener('abort', () => resolve(), { once: true }))
        leaders.splice(leaders.indexOf(identity), 1)
      })
      const end = async () => {
        stop.abort()
        await done
        await own.close()
      }
      t.after(end)
      return { identity, end, crash: () => own.close() }
    }
    const leads = (identity: string) => eventually(() => assert.deepEqual(leaders, [identity]), { timeoutMs: 30_000 })
    const leaseType = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases' }

    /** Each word about the Lease, in order. */
    const history: { holder: unknown; acquiredMs: number; renewedMs: number }[] = []
    const store = createStore<Loose>({
      handlers: [
        (change) => {
          if (change.kind !== 'Set') return
          const [acquired, renewed] = ['acquireTime', 'renewTime'].map((name) =>
            Date.parse(String(at(change.object, `spec.${name}`))),
          )
          const holder = at(change.object, 'spec.holderIdentity')
          history.push({ holder, acquiredMs: acquired ?? Number.NaN, renewedMs: renewed ?? Number.NaN })
        },
      ],
    })
    const watching = new AbortController()
    const fieldSelector = 'metadata.name=elected'
    const reflector = createReflector<Loose>(
      { transport, clock: systemClock, type: leaseType, namespace: 'default', fieldSelector },
      store,
    )
    const reflecting = reflector.run(watching.signal)
    t.after(async () => {
      watching.abort()
      await reflecting
    })
    await reflector.whenSynced

    const quick = { leaseMs: 2_000, renewDeadlineMs: 1_200, retryMs: 300 }
    let crashes = 0
    let leader = start('0', quick)
    const waitedMs = await shortest(3_500, async (nth) => {
      await leads(leader.identity)
      const standby = start(String(nth + 1), quick)
      await eventually(() => assert.equal(history.at(-1)?.holder, leader.identity), slow)
      await leader.crash()
      await leads(standby.identity)
      await leader.end()
      const taken = await eventually(() => history.find(({ holder }) => holder === standby.identity) ?? null, slow)
      const last = history.findLast(({ holder }) => holder === leader.identity)
      const tookMs = taken.acquiredMs - (last?.renewedMs ?? Number.NaN)
      assert.ok(tookMs > 1_950, `taken after ${tookMs} ms, while it was another's`)
      leader = standby
      crashes += 1
      return tookMs
    })
    assert.ok(waitedMs < 3_500, `took ${waitedMs} ms`)

    // These would look again only after twenty seconds, or when the Lease has run out.
    const patient = { leaseMs: 90_000, renewDeadlineMs: 60_000, retryMs: 20_000 }
    const third = start('third', patient)
    await leader.end()
    await leads('third')
    const looks = async () => (await server.requests()).filter(({ verb, name }) => verb === 'get' && name === 'elected').length
    const before = await looks()
    const fourth = start('fourth', patient)
    await eventually(async () => assert.ok((await looks()) > before), { timeoutMs: 15_000 })
    await third.end()
    await eventually(() => assert.deepEqual(leaders, ['fourth']), { timeoutMs: 15_000 })
    const lease = await cluster.get<Loose>(leaseType, 'default', 'elected')
    assert.equal(at(lease, 'spec.holderIdentity'), 'fourth')
    assert.equal(at(lease, 'spec.leaseTransitions'), crashes + 2)
    await fourth.end()
  })

  await suite.test('Events repeat as a count, a flapping object is cut off', async () => {
    const recorder = createRecorder({ transport, clock: systemClock, controller: 'test', instance: 'test-0' })
    const subject = { ...configMap('noisy', {}), metadata: { name: 'noisy', namespace: 'default', uid: 'u-9' } }
    for (let i = 0; i < 3; i++)
      recorder.record(subject, { type: 'Warning', reason: 'Broken', action: 'Check', note: 'it is broken' })
    for (let i = 0; i < 40; i++) recorder.record(subject, { type: 'Normal', reason: 'Flap', action: 'Check', note: `flap ${i}` })
    assert.equal(await recorder.close(never), 0)
    recorder.record(subject, { type: 'Normal', reason: 'Late', action: 'Check', note: 'after the end' })
    assert.equal(await recorder.close(never), 0)
    const events = (await cluster.list({ apiVersion: 'events.k8s.io/v1', kind: 'Event', plural: 'events' }, 'default')).filter(
      (event) => at(event, 'regarding.name') === 'noisy',
    )
    const broken = events.filter((event) => event['reason'] === 'Broken')
    assert.deepEqual(
      broken.map((event) => at(event, 'series.count')),
      [3],
    )
    assert.equal(events.length, 1 + 22)
  })
})

test('a Lease may be taken when it was let go, or when it has not changed for its whole duration by our own clock', () => {
  const lease = (resourceVersion: string, holderIdentity: string) => ({
    metadata: { resourceVersion },
    spec: { holderIdentity, leaseDurationSeconds: 15, renewTime: '1999-01-01T00:00:00.000000Z' },
  })
  const first = see(undefined, lease('1', 'other'), 1_000)
  assert.equal(takeableInMs(first, 1_000), 15_000, 'times written in the Lease do not count')
  const unchanged = see(first, lease('1', 'other'), 9_000)
  assert.equal(takeableInMs(unchanged, 9_000), 7_000)
  assert.equal(takeableInMs(see(unchanged, lease('2', 'other'), 10_000), 10_000), 15_000)
  assert.equal(takeableInMs(see(unchanged, lease('2', ''), 10_000), 10_000), 0)
})

test('times of a Lease have six fractional digits', () => {
  assert.equal(microTime(new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6))), '2026-01-02T03:04:05.006000Z')
})

test('notes are cut to 1,024 bytes at a character', () => {
  assert.equal(clip('short'), 'short')
  const cut = clip('ä€'.repeat(500))
  assert.ok(Buffer.byteLength(cut) <= 1024 && cut.endsWith('…') && !cut.includes('\uFFFD'))
})

test('resourceVersions are compared as numbers of any length', () => {
  assert.ok(compareVersions('9', '10') < 0)
  assert.ok(compareVersions('18446744073709551616', '18446744073709551615') > 0)
  assert.equal(compareVersions('7', '7'), 0)
})
