/** The operator as a whole, on a real API server with Kubernetes' own controllers, and a real Redis. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Redis } from 'ioredis'
import * as kinds from '../../operator/plan/kinds.ts'
import { consumerName, dispatchName, nameLabel } from '../../operator/plan/names.ts'
import { keySpace } from '../../redis/keys.ts'
import { formatIdentity } from '../../redis/stream/identity.ts'
import { needsControllers } from '../support/apiserver.ts'
import { startProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import {
  at,
  conditionOf,
  consumerImage,
  type Loose,
  minimalPipeline,
  quickstart,
  startCluster,
  startOperator,
} from './cluster.ts'

const eventType = { apiVersion: 'v1', kind: 'Event', plural: 'events' }
const leaseType = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases' }
const slow = { timeoutMs: 15_000 }

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

  const replicasOf = (name: string, expected: (replicas: number) => boolean) =>
    eventually(async () => {
      const replicas = at(await deployment(name), 'spec.replicas')
      const why = at(await pipeline(name), 'status.scaling.reason')
      assert.ok(typeof replicas === 'number' && expected(replicas), `replicas: ${String(replicas)}: ${String(why)}`)
      return true
    }, slow)

  /** There is no kubelet here: says of the pods what one would say. */
  const makePodsReady = async (name: string) => {
    const pods = (await cluster.list(kinds.podType, 'default')).filter((pod) => pod.metadata.labels?.[nameLabel] === name)
    const at = new Date().toISOString().replace(/\.\d+Z/, 'Z')
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: at }]
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
      const found = (await cluster.list(kinds.podType, 'default')).filter((pod) => pod.metadata.labels?.[nameLabel] === name)
      return found.length > 0 ? found : null
    }, slow)

  /** ... and in Redis what its consumer would say: that it is at work, one entry a second per slot. */
  const beat = async (name: string, client: Redis) => {
    const keys = keySpace(`${name}:jobs`, name)
    const pods = await podsOf(name)
    const owner = (await pipeline(name))?.metadata.uid ?? ''
    for (const { metadata } of pods) {
      const uid = formatIdentity({ owner, life: metadata.uid ?? '' })
      const counts = { inFlight: 0, serviceMs: 1_000, forwarded: 10, duplicates: 0, dead: 0, reclaimed: 0 }
      const heartbeat = { uid, at: Date.now(), state: 'Running', path: 'Portable', ...counts }
      await client.hset(keys.consumers, metadata.name ?? '', uid)
      await client.set(keys.consumer(metadata.name ?? ''), JSON.stringify(heartbeat), 'PX', 60_000)
    }
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
    const told = JSON.parse(String(at(dispatch, 'data.STREAMPIPELINE_DISPATCH')))
    assert.deepEqual([told.version, told.mode, told.stream, told.group], [1, 'Stream', 'ndvi:jobs', 'ndvi'])

    await eventually(async () => assert.ok((await cluster.list(kinds.podType, 'default')).length > 0), slow)
    await makePodsReady('ndvi')
    await reason('ndvi', 'Ready', 'Running')
    assert.equal(conditionOf(await pipeline('ndvi'), 'RedisReachable')?.status, 'True')
    assert.ok((await eventsOf('ndvi')).some((event) => event.type === 'Normal' && event.reason === 'Ready'))
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
    assert.deepEqual(await signature(), third)
    assert.doesNotMatch(JSON.stringify([await pipeline('rolling'), await deployment('rolling'), operator.lines]), /"(one|two)"/)
  })

  await suite.test(
    'what is wrong with Redis and its Secrets is told in conditions and Events, and cleared when mended',
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

  await suite.test('replicas follow the age of the backlog, and describe tells why', async () => {
    const client = redis.client()
    const old = Date.now() - 120_000
    for (let i = 0; i < 300; i++) await client.xadd('aged:jobs', `${old}-${i}`, 'n', String(i))
    const scaling = { minReplicas: 1, maxReplicas: 4, targetAge: '1s', scaleDownDelay: '0s', idleAfter: '1s' }
    await cluster.apply(minimalPipeline('aged', 'default', { redis: { url: redis.url }, scaling }))
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
    const args = [
      'cli/main.ts',
      'consume',
      '--config',
      join(folder, 'pipeline.yaml'),
      '--refs',
      folder,
      '--listen',
      '127.0.0.1:0',
    ]
    const env = { POD_NAME: pod?.metadata.name, POD_UID: pod?.metadata.uid }
    const consumer = await startProcess(t, args, { env })
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
    const told = await reason('unsound', 'Stalled', 'InvalidSpec')
    assert.equal(told.status, 'True')
    assert.match(told.message, /spec\.payload\.schema/)
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
    await eventually(async () => {
      const found = await pipeline('manual')
      assert.equal(at(found, 'status.observedGeneration'), found?.metadata.generation)
    }, slow)
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
      const told = await reason('taken', 'Reconciled', 'NameTaken')
      assert.match(told.message, /ConfigMap taken-consumer exists and belongs to somebody else/)
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
    await reason('flip', 'Drained', 'Draining')
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
      // Back again: nobody is sent to the stream before a consumer is ready.
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
      { timeoutMs: 30_000 },
    )
    assert.equal(await client.xlen('ndvi:jobs'), 1)
  })

  await suite.test('unchanged pipelines cost no write but the Lease', async () => {
    const writes = async () =>
      (await cluster.server.requests()).filter(
        ({ user, verb, resource }) => user === 'operator' && !['get', 'list', 'watch'].includes(verb) && resource !== 'leases',
      )
    // What the tests before have set in motion comes to rest first.
    let last = (await writes()).length
    let restingSince = Date.now()
    await eventually(
      async () => {
        const now = (await writes()).length
        if (now !== last) restingSince = Date.now()
        last = now
        return Date.now() - restingSince > 5_000
      },
      { timeoutMs: 30_000, intervalMs: 250 },
    )
    const requests = await cluster.server.requests()
    const looks = requests.filter(({ user, resource, verb }) => user === 'operator' && resource === 'leases' && verb === 'update')
    assert.ok(looks.length > 3, 'the Lease is renewed all the while')
  })

  await suite.test('metrics and probes answer', async () => {
    const { metrics, health } = await operator.ports
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`, { headers: { connection: 'close' } })).text()
    assert.match(text, /redis_stream_undelivered_entries\{namespace="default",name="aged"\} 0/)
    assert.match(text, /leader_election_master_status\{name="streampipeline"\} 1/)
    assert.match(text, /controller_runtime_reconcile_total\{controller="streampipeline",result="success"\} [1-9]/)
    assert.doesNotMatch(text, /name="ndvi"/)
    for (const path of ['livez', 'readyz'])
      assert.equal((await fetch(`http://127.0.0.1:${health}/${path}`, { headers: { connection: 'close' } })).status, 200)
  })

  await suite.test('told to stop it exits 0 and lets go of the Lease, and a standby takes over within two seconds', async (t) => {
    const standby = await startOperator(t, cluster, { podName: 'standby' })
    await standby.ports
    const startedMs = performance.now()
    assert.equal(await operator.stop(), 0)
    await eventually(async () => {
      const lease = await cluster.get(leaseType, 'default', 'streampipeline-operator')
      assert.match(String(at(lease, 'spec.holderIdentity')), /^standby_/)
    }, slow)
    assert.ok(performance.now() - startedMs < 2_500)
    await cluster.patch(kinds.pipelineType, 'default', 'flip', { spec: { source: { batchSize: 11 } } })
    await eventually(async () => {
      const found = await pipeline('flip')
      assert.equal(at(found, 'status.observedGeneration'), found?.metadata.generation)
    }, slow)
    assert.equal(await standby.stop(), 0)
  })
})
