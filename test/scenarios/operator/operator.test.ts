/** The operator as a whole, on a real API server with Kubernetes' own controllers, and a real Redis. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Redis } from 'ioredis'
import { StreamPipelineError } from '../../../api/errors.ts'
import { resourcePath } from '../../../operator/kubernetes/objects.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, dispatchName, nameLabel } from '../../../operator/plan/names.ts'
import { keySpace } from '../../../redis/keys.ts'
import { formatIdentity } from '../../../redis/stream/identity.ts'
import {
  at,
  conditionOf,
  consumerImage,
  type Loose,
  minimalPipeline,
  quickstart,
  startCluster,
  startOperator,
} from '../../operator/cluster.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { startCli } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { shortest } from '../../support/shortest.ts'
import { eventually } from '../../support/wait.ts'

const eventType = { apiVersion: 'v1', kind: 'Event', plural: 'events' }
const leaseType = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases' }
const slow = { timeoutMs: 60_000 }

test('the operator on an API server', needsControllers, async (suite) => {
  const [cluster, redis] = await Promise.all([startCluster(suite, { controllers: true }), startRedis(suite)])
  const operator = await startOperator(suite, cluster, { logLevel: 'debug', quietMs: 1_500 })

  const pipeline = (name: string) => cluster.get<Loose>(kinds.pipelineType, 'default', name)
  const deployment = (name: string) => cluster.get<Loose>(kinds.deploymentType, 'default', consumerName(name))
  const eventsOf = async (name: string) =>
    (await cluster.list(eventType, 'default'))
      .filter((event) => at(event, 'involvedObject.name') === name)
      .map((event) => ({ type: event['type'], reason: event['reason'], message: String(event['message']) }))

  /** Waits for a condition to have that reason; returns its status and message. */
  const reason = (name: string, type: string, expected: string) =>
    eventually(async () => {
      const found = conditionOf(await pipeline(name), type)
      assert.ok(found)
      assert.equal(found.reason, expected, found.message)
      return found
    }, slow)

  /** Waits until the present spec has been carried out: the status shows that after the last object was applied. */
  const carriedOut = (name: string) =>
    eventually(async () => {
      const found = await pipeline(name)
      assert.equal(at(found, 'status.observedGeneration'), found?.metadata.generation)
    }, slow)

  const replicasOf = (name: string, expected: (replicas: number) => boolean) =>
    eventually(async () => {
      const replicas = at(await deployment(name), 'spec.replicas')
      const why = at(await pipeline(name), 'status.scaling.reason')
      assert.ok(typeof replicas === 'number' && expected(replicas), `replicas: ${String(replicas)}: ${String(why)}`)
      return true
    }, slow)

  /** There is no kubelet here: sets the status of the pods in its place. */
  const makePodsReady = async (name: string, status = 'True') => {
    const pods = await podsOf(name)
    const at = new Date().toISOString().replace(/\.\d+Z/, 'Z')
    const conditions = [{ type: 'Ready', status, lastTransitionTime: at }]
    for (const pod of pods) {
      await cluster.patch(
        kinds.podType,
        'default',
        pod.metadata.name ?? '',
        { status: { phase: 'Running', conditions } },
        'status',
      )
    }
  }

  const podsOf = (name: string) =>
    eventually(async () => {
      const found = (await cluster.list(kinds.podType, 'default')).filter(
        ({ metadata }) => metadata.labels?.[nameLabel] === name && metadata.deletionTimestamp === undefined,
      )
      return found.length > 0 ? found : null
    }, slow)

  /** … and the heartbeat of a consumer in Redis: it is at work, one entry a second per slot. */
  const beat = async (name: string, client: Redis) => {
    const keys = keySpace(`${name}:jobs`, name)
    // The heartbeat is that of one pod. Several pods may exist by now.
    const [pod] = await podsOf(name)
    const { name: consumer = '', uid: life = '' } = pod?.metadata ?? {}
    const uid = formatIdentity({ owner: (await pipeline(name))?.metadata.uid ?? '', life })
    const counts = { inFlight: 0, serviceMs: 1_000, forwarded: 10, duplicates: 0, dead: 0, reclaimed: 0 }
    const heartbeat = { uid, at: Date.now(), state: 'Running', path: 'Portable', ...counts }
    await client.hset(keys.consumers, consumer, uid)
    await client.set(keys.consumer(consumer), JSON.stringify(heartbeat), 'PX', 600_000)
  }

  await suite.test('a pipeline gets exactly its objects, owned by it, and becomes Ready with its consumers', async () => {
    await cluster.apply(await quickstart('ndvi', 'default', { redis: { url: redis.url } }))
    await eventually(async () => assert.ok(await deployment('ndvi')), slow)
    await reason('ndvi', 'Reconciled', 'ObjectsApplied')
    const found: string[] = []
    const owner = await pipeline('ndvi')
    for (const type of Object.values(kinds)) {
      if (typeof type === 'string' || type === kinds.podMonitorType || type === kinds.pipelineType || type === kinds.podType)
        continue
      for (const object of await cluster.list(type, 'default')) {
        if (object.metadata.labels?.[nameLabel] !== 'ndvi') continue
        found.push(`${type.kind} ${object.metadata.name}`)
        assert.equal(object.metadata.ownerReferences?.[0]?.uid, owner?.metadata.uid)
        assert.equal(object.metadata.ownerReferences?.[0]?.controller, true)
      }
    }
    assert.deepEqual(found.sort(), [
      'ConfigMap ndvi-consumer',
      'ConfigMap ndvi-dispatch',
      'Deployment ndvi-consumer',
      'PodDisruptionBudget ndvi-consumer',
      'ServiceAccount ndvi-consumer',
    ])

    const made = await deployment('ndvi')
    const pod = at(made, 'spec.template.spec')
    assert.equal(at(pod, 'containers.0.image'), consumerImage)
    assert.deepEqual(at(pod, 'containers.0.args'), [
      'consume',
      '--config',
      '/etc/streampipeline/pipeline.yaml',
      '--refs',
      '/var/run/streampipeline/refs',
    ])
    assert.equal(at(pod, 'automountServiceAccountToken'), false)
    assert.equal(at(pod, 'securityContext.runAsNonRoot'), true)
    assert.equal(at(pod, 'containers.0.securityContext.readOnlyRootFilesystem'), true)
    const owners = (made?.metadata.managedFields ?? []).filter(({ fieldsV1 }) => at(fieldsV1, 'f:spec.f:replicas') !== undefined)
    assert.deepEqual(
      owners.map(({ manager }) => manager),
      ['streampipeline-scaler'],
    )

    const dispatch = await cluster.get<Loose>(kinds.configMapType, 'default', dispatchName('ndvi'))
    const reported = JSON.parse(String(at(dispatch, 'data.STREAMPIPELINE_DISPATCH')))
    assert.deepEqual([reported.version, reported.mode, reported.stream, reported.group], [1, 'Stream', 'ndvi:jobs', 'ndvi'])

    await eventually(async () => assert.ok((await cluster.list(kinds.podType, 'default')).length > 0), slow)
    await makePodsReady('ndvi')
    await reason('ndvi', 'Ready', 'Running')
    assert.equal(conditionOf(await pipeline('ndvi'), 'RedisReachable')?.status, 'True')
    await eventually(
      async () => assert.ok((await eventsOf('ndvi')).some((event) => event.type === 'Normal' && event.reason === 'Ready')),
      slow,
    )
  })

  await suite.test('configuration and Secrets roll the pods, scaling and mode do not', async () => {
    const secret = (password: string) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'rotated', namespace: 'default' },
      stringData: { password },
    })
    await cluster.apply(secret('one'))
    const spec = { redis: { url: redis.url, passwordFrom: { secretKeyRef: { name: 'rotated', key: 'password' } } } }
    await cluster.apply(minimalPipeline('rolling', 'default', spec))
    const signature = async () => at(await deployment('rolling'), 'spec.template.metadata.annotations')
    const first = await eventually(async () => ((await signature()) as Record<string, string> | undefined) ?? null, slow)
    const different = (from: unknown) => eventually(async () => assert.notDeepEqual(await signature(), from), slow)

    const sources = at(await deployment('rolling'), 'spec.template.spec.volumes.1.projected.sources')
    assert.deepEqual(sources, [{ secret: { name: 'rotated', items: [{ key: 'password', path: 'secret/rotated/password' }] } }])

    await cluster.apply(secret('two'))
    await different(first)
    const second = await signature()
    await cluster.patch(kinds.pipelineType, 'default', 'rolling', { spec: { source: { batchSize: 7 } } })
    await different(second)
    const third = await signature()
    const change = { spec: { mode: 'Direct', scaling: { policy: 'Manual', maxReplicas: 5 } } }
    await cluster.patch(kinds.pipelineType, 'default', 'rolling', change)
    const published = async () =>
      String(at(await cluster.get(kinds.configMapType, 'default', dispatchName('rolling')), 'data.STREAMPIPELINE_DISPATCH'))
    await eventually(async () => assert.match(await published(), /"mode":"Direct"/), slow)
    await carriedOut('rolling')
    assert.deepEqual(await signature(), third)
    assert.doesNotMatch(JSON.stringify([await pipeline('rolling'), await deployment('rolling'), operator.lines]), /"(one|two)"/)
  })

  await suite.test(
    'what is wrong with Redis and its Secrets is reported in conditions and Events, and cleared when mended',
    async (t) => {
      const guarded = await startRedis(t, { password: 'p4ss-good' })
      const { port } = guarded
      const spec = {
        redis: { url: `redis://127.0.0.1:${port}/0`, passwordFrom: { secretKeyRef: { name: 'redis-auth', key: 'password' } } },
      }
      const secret = (password: string) => ({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'redis-auth', namespace: 'default' },
        stringData: { password },
      })
      await cluster.apply(minimalPipeline('faulty', 'default', spec))
      const missing = await reason('faulty', 'RedisReachable', 'ReferenceMissing')
      assert.match(missing.message, /Secret redis-auth \(key password\), which spec\.redis\.passwordFrom refers to, is missing/)
      await reason('faulty', 'Ready', 'ReferenceMissing')
      await reason('faulty', 'Reconciled', 'ReferenceMissing')

      await cluster.apply(secret('p4ss-bad'))
      const refused = await reason('faulty', 'RedisReachable', 'RedisAuthFailed')
      assert.match(refused.message, new RegExp(`127\\.0\\.0\\.1:${port}`))
      assert.doesNotMatch(refused.message, /p4ss/)
      await reason('faulty', 'Reconciled', 'ObjectsApplied')

      await cluster.apply(secret('p4ss-good'))
      await reason('faulty', 'RedisReachable', 'RedisConnected')

      await guarded.stop()
      await reason('faulty', 'RedisReachable', 'RedisUnreachable')
      await reason('faulty', 'ScalingActive', 'MetricsUnavailable')
      await guarded.start()
      await reason('faulty', 'RedisReachable', 'RedisConnected')

      const events = await eventually(async () => {
        const seen = await eventsOf('faulty')
        const reasons = seen.map((event) => `${String(event.type)} ${String(event.reason)}`)
        for (const expected of [
          'Warning ReferenceMissing',
          'Warning RedisAuthFailed',
          'Normal RedisConnected',
          'Warning RedisUnreachable',
        ])
          assert.ok(reasons.includes(expected), `${expected} in ${reasons.join(', ')}`)
        return seen
      }, slow)
      assert.ok(events.every(({ message }) => message.length > 0 && Buffer.byteLength(message) <= 1024))
      assert.doesNotMatch(JSON.stringify([events, operator.lines, await pipeline('faulty')]), /p4ss/)
    },
  )

  await suite.test('replicas follow the age of the backlog, and describe shows the reason', async () => {
    const client = redis.client()
    const scaling = { minReplicas: 1, maxReplicas: 4, targetAge: '1s', scaleDownDelay: '0s', idleAfter: '1s' }
    await cluster.apply(minimalPipeline('aged', 'default', { redis: { url: redis.url }, scaling }))
    // Entries that were there before would be counted in the first number of replicas.
    await replicasOf('aged', (replicas) => replicas === 1)
    const old = Date.now() - 120_000
    for (let i = 0; i < 300; i++) await client.xadd('aged:jobs', `${old}-${i}`, 'n', String(i))
    await beat('aged', client)
    await replicasOf('aged', (replicas) => replicas > 1)
    await reason('aged', 'ScalingActive', 'ScalingOnAge')
    const described = await eventually(async () => {
      const { stdout } = await cluster.server.kubectl(['describe', 'streampipeline', 'aged'])
      assert.match(stdout, /Undelivered: +300/)
      assert.match(stdout, /Oldest Age: +2m/)
      assert.match(stdout, /Decisions:\n.*-> [2-4] .*oldest .* > 1s target/)
      assert.match(stdout, /Consumers:\n +Active: +1\n/)
      assert.match(stdout, /Normal +Scaled/)
      return stdout
    }, slow)
    assert.match(described, /Desired Replicas: +[2-4]/)
    await client.xtrim('aged:jobs', 'MAXLEN', 0)
    await replicasOf('aged', (replicas) => replicas === 1)
  })

  await suite.test('a consumer run from what the operator made does the work, and is seen at it', async (t) => {
    const guarded = await startRedis(t, { password: 'p4ss-right' })
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'worker-auth', namespace: 'default' },
      stringData: { password: 'p4ss-right' },
    }
    await cluster.apply(secret)
    const url = `redis://127.0.0.1:${guarded.port}/0`
    const redisSpec = { url, passwordFrom: { secretKeyRef: { name: 'worker-auth', key: 'password' } } }
    await cluster.apply(minimalPipeline('worker', 'default', { redis: redisSpec }))
    const [pod] = await podsOf('worker')
    const config = await cluster.get<Loose>(kinds.configMapType, 'default', consumerName('worker'))
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-consumer-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'pipeline.yaml'), String((at(config, 'data') as Record<string, string>)['pipeline.yaml']))
    await mkdir(join(folder, 'secret', 'worker-auth'), { recursive: true })
    await writeFile(join(folder, 'secret', 'worker-auth', 'password'), 'p4ss-right')
    const args = ['consume', '--config', join(folder, 'pipeline.yaml'), '--refs', folder, '--listen', '127.0.0.1:0']
    const env = { POD_NAME: pod?.metadata.name, POD_UID: pod?.metadata.uid }
    const consumer = await startCli(t, args, { env })
    const client = guarded.client()
    await client.xadd('worker:jobs', '*', 'n', '1')
    await eventually(async () => assert.equal(await client.llen('bull:worker:wait'), 1), slow)
    await eventually(async () => assert.deepEqual(at(await pipeline('worker'), 'status.consumers.active'), 1), slow)
    assert.equal((await consumer.stop()).code, 0)
    await cluster.remove(kinds.pipelineType, 'default', 'worker')
    // Its pod, of which there is only the object, goes with it.
    assert.doesNotMatch(operator.lines.join(''), /p4ss/)
  })

  await suite.test('a spec that only a program can judge is Stalled, and says what to correct', async () => {
    const payload = { schema: { type: 'object', properties: { n: { type: 'integr' } } } }
    await cluster.apply(minimalPipeline('unsound', 'default', { redis: { url: redis.url }, payload }))
    const reported = await reason('unsound', 'Stalled', 'InvalidSpec')
    assert.equal(reported.status, 'True')
    assert.match(reported.message, /spec\.payload\.schema/)
    assert.equal(await deployment('unsound'), undefined)
    await cluster.patch(kinds.pipelineType, 'default', 'unsound', { spec: { payload: { schema: null } } })
    await reason('unsound', 'Stalled', 'Progressing')
    await reason('unsound', 'Reconciled', 'ObjectsApplied')
  })

  await suite.test('suspend, Manual with kubectl scale, and a change made by hand', async () => {
    const scaling = { policy: 'Manual' }
    await cluster.apply(minimalPipeline('manual', 'default', { redis: { url: redis.url }, scaling, replicas: 2 }))
    await replicasOf('manual', (replicas) => replicas === 2)
    const scaled = await cluster.server.kubectl(['scale', 'streampipeline', 'manual', '--replicas=3'])
    assert.equal(scaled.code, 0, scaled.stderr)
    await replicasOf('manual', (replicas) => replicas === 3)
    await cluster.patch(kinds.pipelineType, 'default', 'manual', { spec: { suspend: true } })
    await replicasOf('manual', (replicas) => replicas === 0)
    await reason('manual', 'Ready', 'Suspended')
    await cluster.patch(kinds.pipelineType, 'default', 'manual', { spec: { suspend: false } })
    await replicasOf('manual', (replicas) => replicas === 3)

    const image = () => deployment('manual').then((found) => at(found, 'spec.template.spec.containers.0.image'))
    const edit = ['set', 'image', `deployment/${consumerName('manual')}`, 'consumer=patched']
    await cluster.server.kubectl(edit)
    await eventually(async () => assert.equal(await image(), consumerImage), slow)
    await cluster.server.kubectl(['annotate', 'streampipeline', 'manual', 'streampipeline.dev/reconcile=disabled'])
    await reason('manual', 'Reconciled', 'ReconcileDisabled')
    await cluster.server.kubectl(edit)
    await cluster.patch(kinds.pipelineType, 'default', 'manual', { spec: { source: { batchSize: 9 } } })
    await carriedOut('manual')
    assert.equal(await image(), 'patched')
    await cluster.server.kubectl(['annotate', 'streampipeline', 'manual', 'streampipeline.dev/reconcile-'])
    await eventually(async () => assert.equal(await image(), consumerImage), slow)
  })

  await suite.test(
    "a stranger's object of the same name stays untouched, and the pipeline says so until it is gone",
    async () => {
      const stranger = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'taken-consumer', namespace: 'default' },
        data: { mine: 'yes' },
      }
      await cluster.apply(stranger)
      const before = await cluster.get(kinds.configMapType, 'default', 'taken-consumer')
      await cluster.apply(minimalPipeline('taken', 'default', { redis: { url: redis.url } }))
      const reported = await reason('taken', 'Reconciled', 'NameTaken')
      assert.match(reported.message, /ConfigMap taken-consumer exists and belongs to an unknown owner/)
      assert.equal(await deployment('taken'), undefined)
      assert.deepEqual(await cluster.get(kinds.configMapType, 'default', 'taken-consumer'), before)
      await cluster.remove(kinds.configMapType, 'default', 'taken-consumer')
      await reason('taken', 'Reconciled', 'ObjectsApplied')
    },
  )

  await suite.test('the mode reaches Redis, where producers see it at once', async () => {
    const client = redis.client()
    await cluster.apply(minimalPipeline('flip', 'default', { redis: { url: redis.url } }))
    const { mode } = keySpace('flip:jobs', 'flip')
    await eventually(async () => assert.equal(await client.get(mode), 'Stream'), slow)
    await cluster.patch(kinds.pipelineType, 'default', 'flip', { spec: { mode: 'Direct' } })
    await eventually(async () => assert.equal(await client.get(mode), 'Direct'), slow)
    // Nothing waits in its stream: it may be settled before the first look.
    await eventually(async () => {
      const found = conditionOf(await pipeline('flip'), 'Drained')?.reason
      assert.ok(found === 'Draining' || found === 'StreamSettled', `Drained: ${found}`)
    }, slow)
  })

  await suite.test(
    'Direct drains: one consumer stays while it is quiet for long enough, a late entry brings it back',
    async () => {
      const client = redis.client()
      await client.xgroup('CREATE', 'drain:jobs', 'drain', '0', 'MKSTREAM')
      await cluster.apply(minimalPipeline('drain', 'default', { redis: { url: redis.url } }))
      await replicasOf('drain', (replicas) => replicas === 1)
      await client.xadd('drain:jobs', '*', 'n', '1')
      await cluster.patch(kinds.pipelineType, 'default', 'drain', { spec: { mode: 'Direct' } })
      const left = await reason('drain', 'Drained', 'Draining')
      assert.equal(left.status, 'False')
      const settle = async () => {
        const read = (await client.xreadgroup('GROUP', 'drain', 'by-hand', 'COUNT', 9, 'STREAMS', 'drain:jobs', '>')) as
          | [string, [string, string[]][]][]
          | null
        for (const [id] of read?.[0]?.[1] ?? []) await client.xack('drain:jobs', 'drain', id)
        await client.xgroup('DELCONSUMER', 'drain:jobs', 'drain', 'by-hand')
      }
      await replicasOf('drain', (replicas) => replicas >= 1)
      await settle()
      await reason('drain', 'Drained', 'StreamSettled')
      await replicasOf('drain', (replicas) => replicas === 0)
      await client.xadd('drain:jobs', '*', 'n', '2')
      await reason('drain', 'Drained', 'Draining')
      await replicasOf('drain', (replicas) => replicas >= 1)
      await settle()
      await reason('drain', 'Drained', 'StreamSettled')
      await replicasOf('drain', (replicas) => replicas === 0)
      // Back again: no producer is sent to the stream before a consumer is ready.
      await cluster.patch(kinds.pipelineType, 'default', 'drain', { spec: { mode: 'Stream' } })
      await replicasOf('drain', (replicas) => replicas >= 1)
      const { mode } = keySpace('drain:jobs', 'drain')
      assert.equal(await client.get(mode), 'Direct')
      await makePodsReady('drain')
      await eventually(async () => assert.equal(await client.get(mode), 'Stream'), slow)
      await cluster.remove(kinds.pipelineType, 'default', 'drain')
    },
  )

  await suite.test(
    "a vanished pod's entries can be claimed at once, its name goes with the last, strangers are left alone",
    async () => {
      const client = redis.client()
      const [stream, group] = ['reaped:jobs', 'reaped']
      const keys = keySpace(stream, group)
      await cluster.apply(minimalPipeline('reaped', 'default', { redis: { url: redis.url } }))
      const owner = (await pipeline('reaped'))?.metadata.uid ?? ''
      await client.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
      for (let n = 0; n < 6; n++) await client.xadd(stream, '*', 'n', String(n))
      await client.xreadgroup('GROUP', group, 'stranger', 'COUNT', 2, 'STREAMS', stream, '>')
      await client.hset(keys.consumers, 'stranger', 'local-laptop-1-2/3')
      await client.xreadgroup('GROUP', group, 'ghost', 'COUNT', 3, 'STREAMS', stream, '>')
      await client.hset(keys.consumers, 'ghost', formatIdentity({ owner, life: 'a-pod-that-is-gone' }))
      const names = async () => ((await client.xinfo('CONSUMERS', stream, group)) as string[][]).map((fields) => fields[1]).sort()
      await eventually(async () => assert.equal(await client.get(keys.nudge), '1'), slow)
      const [, claimed] = (await client.xautoclaim(stream, group, 'alive', 60_000, '0', 'COUNT', 10)) as [
        string,
        [string, string[]][],
      ]
      assert.equal(claimed.length, 3)
      await eventually(async () => assert.deepEqual(await names(), ['alive', 'stranger']), slow)
      assert.deepEqual(await client.hkeys(keys.consumers), ['stranger'])
      await cluster.remove(kinds.pipelineType, 'default', 'reaped')
    },
  )

  await suite.test('deleting a pipeline takes its objects away and leaves Redis alone', async () => {
    const client = redis.client()
    await client.xadd('ndvi:jobs', '*', 'k', 'v')
    await cluster.remove(kinds.pipelineType, 'default', 'ndvi')
    await eventually(
      async () => {
        for (const type of [kinds.deploymentType, kinds.configMapType, kinds.serviceAccountType, kinds.disruptionBudgetType])
          for (const object of await cluster.list(type, 'default'))
            assert.notEqual(object.metadata.labels?.[nameLabel], 'ndvi', type.kind)
      },
      { timeoutMs: 60_000 },
    )
    assert.equal(await client.xlen('ndvi:jobs'), 1)
  })

  await suite.test(
    'the longest name: pods are found by label; ready pods are evicted one by one, and pods that are not ready without delay',
    async () => {
      const name = `p${'-123456789'.repeat(5)}x`
      assert.equal(name.length, 52)
      const scaling = { policy: 'Manual' }
      await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url }, scaling, replicas: 2 }))
      const both = await eventually(async () => {
        const pods = await podsOf(name)
        return pods.length === 2 ? pods : null
      }, slow)
      assert.ok(
        both.every(({ metadata }) => !metadata.name?.startsWith(`${consumerName(name)}-`)),
        'their names are cut',
      )
      const evict = async (pod: string) => {
        const path = `${resourcePath(kinds.podType, 'default', pod)}/eviction`
        const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace: 'default' } }
        try {
          await cluster.transport.request({ method: 'POST', path, body })
          return 'evicted'
        } catch (thrown) {
          assert.ok(thrown instanceof StreamPipelineError, String(thrown))
          return thrown.code
        }
      }
      const two = () =>
        eventually(async () => {
          const [first, second] = (await podsOf(name)).map(({ metadata }) => metadata.name ?? '')
          assert.ok(first && second)
          return { first, second }
        }, slow)
      // The budget's controller has to have counted.
      const healthy = (count: number) =>
        eventually(async () => {
          const budget = await cluster.get<Loose>(kinds.disruptionBudgetType, 'default', consumerName(name))
          assert.deepEqual([at(budget, 'status.expectedPods'), at(budget, 'status.currentHealthy')], [2, count])
        }, slow)
      await makePodsReady(name, 'False')
      await healthy(0)
      assert.equal(await evict((await two()).first), 'evicted', 'as in an outage of Redis, none is ready')
      const { first, second } = await two()
      await makePodsReady(name)
      await reason(name, 'Ready', 'Running')
      await healthy(2)
      assert.equal(await evict(first), 'evicted')
      assert.equal(await evict(second), 'KubernetesBusy', 'one at a time')
    },
  )

  await suite.test('who deletes all that there is in a namespace does not delete its pipelines', async () => {
    assert.equal((await cluster.server.kubectl(['delete', 'all', '--all', '--wait=false'])).code, 0)
    const left = (await cluster.list(kinds.pipelineType, 'default')).filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined,
    )
    assert.ok(left.some(({ metadata }) => metadata.name === 'flip'))
    // What went, comes again.
    await eventually(async () => assert.ok(await deployment('flip')), slow)
  })

  await suite.test('a third party that annotates, defaults and scales our objects causes no fight', async () => {
    const name = 'meddled'
    await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url } }))
    await reason(name, 'Reconciled', 'ObjectsApplied')
    await reason(name, 'RedisReachable', 'RedisConnected')
    const objects = [
      [kinds.deploymentType, consumerName(name)],
      [kinds.configMapType, consumerName(name)],
      [kinds.configMapType, dispatchName(name)],
      [kinds.serviceAccountType, consumerName(name)],
      [kinds.disruptionBudgetType, consumerName(name)],
    ] as const
    const find = async () => await Promise.all(objects.map(([type, each]) => cluster.get<Loose>(type, 'default', each)))
    await eventually(async () => assert.ok((await find()).every((found) => found !== undefined)), slow)
    const writes = async () =>
      (await cluster.server.requests()).filter(
        ({ user, verb, resource, name: of }) =>
          user === 'operator' && resource !== 'events' && of.startsWith(name) && !['get', 'list', 'watch'].includes(verb),
      ).length
    const meddle = async (round: number) => {
      for (const [type, each] of objects) {
        const metadata = { annotations: { 'meddler.example/seen': String(round) }, labels: { 'meddler.example/by': `r${round}` } }
        await cluster.patch(type, 'default', each, { metadata })
      }
      const tolerations = [{ key: `meddler.example/${round}`, operator: 'Exists' }]
      const annotations = { 'kubectl.kubernetes.io/restartedAt': `2026-11-22T00:00:${10 + round}Z` }
      const template = { metadata: { annotations }, spec: { tolerations, dnsPolicy: 'Default' } }
      const spec = { template, progressDeadlineSeconds: 500 + round }
      await cluster.patch(kinds.deploymentType, 'default', consumerName(name), { spec })
      const imagePullSecrets = [{ name: `meddler-${round}` }]
      await cluster.patch(kinds.serviceAccountType, 'default', consumerName(name), { imagePullSecrets })
    }
    const rounds = 8
    const before = await writes()
    for (let round = 0; round < rounds; round++) await meddle(round)
    const meddled = await find()
    // A person who scales by hand is corrected once. Other fields of that person stay.
    await cluster.patch(kinds.deploymentType, 'default', consumerName(name), { spec: { replicas: 5 } })
    await replicasOf(name, (replicas) => replicas === 1)
    let last = -1
    await eventually(
      async () => {
        const now = await writes()
        if (now === last) return true
        last = now
        return false
      },
      { ...slow, intervalMs: 2_000 },
    )
    const after = await find()
    for (const [index, found] of after.entries()) {
      const was = meddled[index]
      assert.ok(found && was)
      const { kind = '' } = found
      const marks = ({ metadata }: Loose) => {
        // That one is the Deployment controller's, which comes a little later.
        const { 'deployment.kubernetes.io/revision': _, ...annotations } = metadata.annotations ?? {}
        return [annotations, metadata.labels]
      }
      assert.deepEqual(marks(found), marks(was), kind)
      // Those two have a status of their controllers'.
      if (kind !== 'Deployment' && kind !== 'PodDisruptionBudget')
        assert.equal(found.metadata.resourceVersion, was.metadata.resourceVersion, `${kind} stays as it was`)
      for (const field of ['spec.template', 'spec.progressDeadlineSeconds', 'imagePullSecrets', 'data'])
        assert.deepEqual(at(found, field), at(was, field), `${kind} ${field}`)
    }
    // An apply without an effect may follow a change. Status may report the rollout.
    const cost = (await writes()) - before
    assert.ok(cost <= rounds * (objects.length + 2) + 8, `${cost} writes for ${rounds * (objects.length + 2)} changes`)
    await cluster.remove(kinds.pipelineType, 'default', name)
  })

  await suite.test(
    'no secret is in a status, an Event, a log line, an object or a metric, whatever is wrong with it',
    async (t) => {
      const mark = `m4rk${randomBytes(6).toString('hex')}`
      const right = `${mark}"right' %s \\ü`
      const guarded = await startRedis(t, { password: right })
      const url = `redis://127.0.0.1:${guarded.port}/0`
      const tls = url.replace('redis:', 'rediss:')
      const pem = (what: string) =>
        `-----BEGIN ${what}-----\n${Buffer.from(mark.repeat(8)).toString('base64')}\n-----END ${what}-----\n`
      const secret = (name: string, data: Record<string, string>) => {
        const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
        return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' }, data: Object.fromEntries(encoded) }
      }
      const from = (key: string, name = 'marked') => ({ secretKeyRef: { name, key } })
      const data = {
        right,
        wrong: `${mark}wrong`,
        lines: `${mark}\n${mark}\u0000\u0007`,
        long: mark.repeat(5_000),
        ca: pem('CERTIFICATE'),
        key: pem('PRIVATE KEY'),
        plain: mark,
      }
      const specs: readonly Record<string, unknown>[] = [
        { redis: { url, passwordFrom: from('right') } },
        { redis: { url, passwordFrom: from('wrong') } },
        { redis: { url, passwordFrom: from('lines') } },
        { redis: { url, passwordFrom: from('long') } },
        { redis: { url, usernameFrom: from('wrong'), passwordFrom: from('right') } },
        { redis: { url, passwordFrom: from(`absent`) } },
        { redis: { url: tls, passwordFrom: from('right'), tls: { caFrom: from('plain') } } },
        { redis: { url: tls, passwordFrom: from('right'), tls: { caFrom: from('ca') } } },
        { redis: { url: tls, tls: { certFrom: from('ca'), keyFrom: from('key') } } },
        { redis: { url: tls, tls: { certFrom: from('plain'), keyFrom: from('plain') } } },
      ]
      await cluster.apply(secret('marked', data))
      const items = specs.map((spec, index) => minimalPipeline(`marked-${index}`, 'default', spec))
      await cluster.apply({ apiVersion: 'v1', kind: 'List', items })
      const all = async () =>
        (await cluster.list(kinds.pipelineType, 'default')).filter(({ metadata }) => /^marked-/.test(metadata.name ?? ''))
      const looked = async () => {
        for (const found of await all()) {
          const reported = conditionOf(found, 'RedisReachable')
          assert.ok(
            reported && !['WaitingForOperator', 'NotObservedYet'].includes(reported.reason),
            `${found.metadata.name}: ${reported?.reason}`,
          )
        }
      }
      await eventually(looked, slow)
      await reason('marked-0', 'RedisReachable', 'RedisConnected')
      // Rotated while in use: the old value is now refused.
      await cluster.apply(secret('marked', { ...data, right: `${mark}rotated` }))
      await reason('marked-0', 'RedisReachable', 'RedisAuthFailed')
      // Events are written one after another: those of the others are there before this one.
      await eventually(
        async () => assert.ok((await eventsOf('marked-0')).some((event) => event.reason === 'RedisAuthFailed')),
        slow,
      )

      const types = [
        ...Object.values(kinds).filter((each) => typeof each !== 'string' && each !== kinds.podMonitorType),
        eventType,
        leaseType,
      ]
      const emitted: [string, string][] = [['log', operator.lines.join('\n')]]
      for (const type of types) {
        if (typeof type === 'string' || type === kinds.secretType) continue
        const listed = JSON.stringify(await cluster.list(type, 'default'))
        emitted.push([type.kind, listed])
      }
      const { metrics } = await operator.ports
      emitted.push([
        'metrics',
        await (await fetch(`http://127.0.0.1:${metrics}/metrics`, { headers: { connection: 'close' } })).text(),
      ])
      const { stdout } = await cluster.server.kubectl(['describe', 'streampipelines'])
      emitted.push(['describe', stdout])
      const forms = [mark, Buffer.from(mark).toString('hex'), ...[0, 1, 2].map((shift) => base64Within(mark, shift))]
      for (const [where, text] of emitted) {
        if (!['NetworkPolicy', 'Lease', 'Pod'].includes(where))
          assert.ok(text.includes('marked-'), `${where} tells of these pipelines at all`)
        for (const form of forms) assert.ok(!text.includes(form), `a secret is in the ${where}: ${around(text, form)}`)
      }
      for (const { metadata } of await all()) await cluster.remove(kinds.pipelineType, 'default', metadata.name ?? '')
    },
  )

  await suite.test('unchanged pipelines cost no write but the Lease', async () => {
    const writes = async () =>
      (await cluster.server.requests()).filter(
        ({ user, verb, resource }) => user === 'operator' && !['get', 'list', 'watch'].includes(verb) && resource !== 'leases',
      )
    // Effects of the tests before come to rest first.
    let last = (await writes()).length
    let restingSince = Date.now()
    await eventually(
      async () => {
        const now = (await writes()).length
        if (now !== last) restingSince = Date.now()
        last = now
        return Date.now() - restingSince > 5_000
      },
      { timeoutMs: 90_000, intervalMs: 250 },
    )
    const requests = await cluster.server.requests()
    const looks = requests.filter(({ user, resource, verb }) => user === 'operator' && resource === 'leases' && verb === 'update')
    assert.ok(looks.length > 3, 'the Lease is renewed all the while')
  })

  await suite.test('metrics and probes answer', async () => {
    const { metrics, health } = await operator.ports
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`, { headers: { connection: 'close' } })).text()
    assert.match(text, /redis_stream_undelivered_entries\{namespace="default",pipeline="aged"\} 0/)
    assert.match(text, /leader_election_master_status\{name="streampipeline"\} 1/)
    assert.match(text, /controller_runtime_reconcile_total\{controller="streampipeline",result="success"\} [1-9]/)
    assert.doesNotMatch(text, /name="ndvi"/)
    // The names that dashboards of other operators know, each there from the start.
    for (const known of [
      ...['total', 'errors_total', 'panics_total', 'time_seconds_bucket'].map((end) => `controller_runtime_reconcile_${end}`),
      ...['active_workers', 'max_concurrent_reconciles'].map((end) => `controller_runtime_${end}`),
      ...['depth', 'adds_total', 'retries_total', 'unfinished_work_seconds'].map((end) => `workqueue_${end}`),
      ...['queue', 'work'].map((what) => `workqueue_${what}_duration_seconds_bucket`),
      'workqueue_longest_running_processor_seconds',
      'rest_client_requests_total',
      'leader_election_master_status',
      'process_resident_memory_bytes',
    ])
      assert.match(text, new RegExp(`^${known}\\{?.* [0-9]`, 'm'), known)
    assert.match(text, /controller_runtime_reconcile_panics_total\{controller="streampipeline"\} 0/)
    for (const path of ['livez', 'readyz'])
      assert.equal((await fetch(`http://127.0.0.1:${health}/${path}`, { headers: { connection: 'close' } })).status, 200)
  })

  await suite.test('on SIGTERM it exits 0 and lets go of the Lease, and a standby takes over within two seconds', async (t) => {
    let leader = operator
    // At its retry a standby would look again after two seconds and more.
    const tookMs = await shortest(2_000, async (nth) => {
      const podName = `standby-${nth}`
      const standby = await startOperator(t, cluster, { podName })
      await standby.ports
      const startedMs = performance.now()
      const stopped = leader.stop()
      await eventually(async () => {
        const lease = await cluster.get(leaseType, 'default', 'streampipeline-operator')
        assert.equal(String(at(lease, 'spec.holderIdentity')).split('_')[0], podName)
      }, slow)
      const handoverMs = performance.now() - startedMs
      assert.equal(await stopped, 0)
      leader = standby
      return handoverMs
    })
    assert.ok(tookMs < 2_000, `took ${tookMs} ms`)
    await cluster.patch(kinds.pipelineType, 'default', 'flip', { spec: { source: { batchSize: 11 } } })
    await carriedOut('flip')
    assert.equal(await leader.stop(), 0)
  })

  await suite.test(
    'a pipeline deleted while no operator runs is gone with its objects; a later one of its name counts as new',
    async (t) => {
      const client = redis.client()
      const keys = keySpace('flip:jobs', 'flip')
      const children = async () => {
        const found: string[] = []
        for (const type of [
          kinds.deploymentType,
          kinds.configMapType,
          kinds.serviceAccountType,
          kinds.disruptionBudgetType,
          kinds.podType,
        ])
          for (const { metadata } of await cluster.list(type, 'default'))
            if (['flip', 'manual', 'aged'].includes(metadata.labels?.[nameLabel] ?? ''))
              found.push(`${type.kind} ${metadata.name}`)
        return found
      }
      assert.ok((await children()).length >= 12)
      await client.hset(
        keys.consumers,
        'left',
        formatIdentity({ owner: (await pipeline('flip'))?.metadata.uid ?? '', life: 'p' }),
      )
      const mode = await client.get(keys.mode)
      const [lease, uid] = [
        await cluster.get(leaseType, 'default', 'streampipeline-operator'),
        (await pipeline('flip'))?.metadata.uid,
      ]
      assert.equal(at(lease, 'spec.holderIdentity'), '', 'nobody leads')
      // In the three ways there are: at once, after its objects, with its objects left behind.
      const remove = async (name: string, cascade: string) => {
        const { code, stderr } = await cluster.server.kubectl([
          'delete',
          'streampipeline',
          name,
          `--cascade=${cascade}`,
          '--timeout=55s',
        ])
        assert.equal(code, 0, stderr)
        assert.equal(await pipeline(name), undefined, 'no finalizer holds it')
      }
      await remove('flip', 'background')
      await remove('manual', 'foreground')
      await remove('aged', 'orphan')
      await eventually(
        async () => {
          const left = await children()
          assert.ok(left.length > 0 && left.every((each) => each.includes(' aged-')), left.join())
        },
        { timeoutMs: 60_000 },
      )
      assert.deepEqual([await client.get(keys.mode), await client.exists(keys.consumers)], [mode, 1], 'Redis is left alone')

      await cluster.apply(minimalPipeline('flip', 'default', { redis: { url: redis.url } }))
      await cluster.apply(minimalPipeline('aged', 'default', { redis: { url: redis.url } }))
      const returned = await startOperator(t, cluster, { podName: 'returned', quietMs: 1_500 })
      await reason('flip', 'Reconciled', 'ObjectsApplied')
      assert.notEqual((await pipeline('flip'))?.metadata.uid, uid)
      assert.equal((await deployment('flip'))?.metadata.ownerReferences?.[0]?.uid, (await pipeline('flip'))?.metadata.uid)
      await reason('flip', 'RedisReachable', 'RedisConnected')
      assert.equal(await deployment('manual'), undefined, 'what was deleted does not come back')
      await reason('aged', 'Reconciled', 'ObjectsApplied')
      const owners = (await deployment('aged'))?.metadata.ownerReferences?.map((each) => each.uid)
      assert.deepEqual(owners, [(await pipeline('aged'))?.metadata.uid], 'what was left behind by us is taken over')
      assert.deepEqual(await client.hkeys(keys.consumers), ['left'], 'a consumer of the earlier pipeline is none of the new one')
      assert.equal(await returned.stop(), 0)
    },
  )

  await suite.test('all this was done with Roles in one namespace: nothing was forbidden, no Secret listed', async () => {
    const { stdout } = await cluster.server.kubectl(['get', 'clusterrolebindings', '-o', 'json'])
    assert.doesNotMatch(stdout, /"name": "operator"/)
    const asked = (await cluster.server.requests()).filter(({ user }) => user === 'operator')
    assert.ok(asked.length > 500)
    assert.deepEqual(
      asked.filter(({ code }) => code === 403).map(({ verb, uri }) => `${verb} ${uri}`),
      [],
    )
    assert.deepEqual([...new Set(asked.filter(({ resource }) => resource !== '').map(({ namespace }) => namespace))], ['default'])
    const ofSecrets = asked.filter(({ resource }) => resource === 'secrets')
    assert.deepEqual([...new Set(ofSecrets.map(({ verb }) => verb))].sort(), ['create', 'get'])
    assert.ok(ofSecrets.every(({ verb, name }) => verb === 'create' || name !== ''))
  })
})

/** The part of a text's base64 form that does not depend on its surroundings, if it begins at a place that is `shift` modulo 3. */
function base64Within(text: string, shift: number): string {
  return Buffer.from(' '.repeat(shift) + text)
    .toString('base64')
    .slice(shift === 0 ? 0 : 4, -4)
}

function around(text: string, found: string): string {
  const at = text.indexOf(found)
  return text.slice(Math.max(0, at - 200), at + 50)
}
