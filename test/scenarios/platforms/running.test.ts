/**
 * Pipelines on platforms that rewrite, inject and refuse: pods are made, the operator neither fights nor writes at rest, and a new
 * operator restarts nothing.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFailure } from '../../../operator/kubernetes/errors.ts'
import { deploymentType, pipelineType, podType } from '../../../operator/plan/kinds.ts'
import { consumerName, nameLabel } from '../../../operator/plan/names.ts'
import {
  at,
  type Cluster,
  conditionOf,
  type Loose,
  minimalPipeline,
  startCluster,
  startOperator,
} from '../../operator/cluster.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { needsMutatingPolicies, platformLabel } from './admission.ts'
import { autopilot, autopilotRules } from './autopilot.ts'
import { eks, eksRules, mesh, meshRules } from './injected.ts'
import { isAssigned, openShiftAssigns, openShiftNamespace, openShiftRefuses } from './openshift.ts'

const slow = { timeoutMs: 60_000 }
const name = 'ndvi'

interface Platform {
  readonly name: string
  readonly namespace: object
  readonly rules: readonly object[]
  /** What the platform did to a pod of ours. */
  readonly shows: (pod: Loose) => boolean
}

const namespaceOn = (platform: string): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: platform, labels: { [platformLabel]: platform } },
})

const platforms: readonly Platform[] = [
  {
    name: 'openshift',
    namespace: openShiftNamespace('openshift'),
    rules: [...openShiftAssigns, ...openShiftRefuses],
    shows: (pod) => isAssigned(Number(at(pod, 'spec.containers.0.securityContext.runAsUser'))),
  },
  {
    name: autopilot,
    namespace: namespaceOn(autopilot),
    rules: autopilotRules,
    shows: (pod) =>
      at(pod, 'spec.containers.0.resources.limits.cpu') === '250m' && JSON.stringify(pod).includes('kubernetes.io/arch'),
  },
  {
    name: mesh,
    namespace: namespaceOn(mesh),
    rules: meshRules,
    shows: (pod) => at(pod, 'spec.containers.0.name') === 'istio-proxy' && at(pod, 'spec.containers.1.name') === 'consumer',
  },
  {
    name: eks,
    namespace: namespaceOn(eks),
    rules: eksRules,
    shows: (pod) => /AWS_ROLE_ARN.*aws-iam-token/.test(JSON.stringify(pod)),
  },
]

/** The operator's writes, but for Leases, Events and statuses. */
async function writes(cluster: Cluster): Promise<readonly string[]> {
  const requests = await cluster.server.requests()
  return requests
    .filter(
      ({ user, verb, resource, subresource }) =>
        user === 'operator' &&
        ['create', 'update', 'patch', 'delete'].includes(verb) &&
        !['leases', 'events', 'subjectaccessreviews'].includes(resource) &&
        subresource === '',
    )
    .map(({ verb, resource, namespace, name: object }) => `${verb} ${resource} ${namespace}/${object}`)
}

const running = () => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString().replace(/\.\d+Z/, 'Z') }],
})

/** The pod was deleted meanwhile. */
function gone(thrown: unknown): void {
  if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
}

/** At rest nothing is written. */
async function restful(cluster: Cluster): Promise<void> {
  const before = (await writes(cluster)).length
  await sleep(4_000)
  assert.deepEqual((await writes(cluster)).slice(before), [])
}

test('platforms', { skip: needsControllers.skip || needsMutatingPolicies.skip, timeout: 400_000 }, async (suite) => {
  const namespaces = platforms.map((platform) => platform.name)
  const [cluster, redis] = await Promise.all([
    startCluster(suite, { controllers: true, namespaces: ['default', ...namespaces] }),
    startRedis(suite),
  ])
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'List',
    items: platforms.flatMap(({ namespace, rules }) => [namespace, ...rules]),
  })
  const deployment = (namespace: string) => cluster.get<Loose>(deploymentType, namespace, consumerName(name))
  const pods = async (namespace: string) =>
    (await cluster.list(podType, namespace)).filter(
      ({ metadata }) => metadata.labels?.[nameLabel] === name && metadata['deletionTimestamp' as never] === undefined,
    )
  const reconciled = async (namespace: string) => {
    const condition = conditionOf(await cluster.get<Loose>(pipelineType, namespace, name), 'Reconciled')
    assert.deepEqual([condition?.status, condition?.reason], ['True', 'ObjectsApplied'], condition?.message ?? '')
  }
  /** Until so many pods of the present template are there, each as the platform makes them. */
  const made = async ({ name: namespace, shows }: Platform, count: number) =>
    await eventually(async () => {
      await reconciled(namespace)
      const found = await deployment(namespace)
      assert.deepEqual(
        [at(found, 'spec.replicas'), at(found, 'status.updatedReplicas'), at(found, 'status.observedGeneration')],
        [count, count, found?.metadata.generation],
        JSON.stringify(at(found, 'status')),
      )
      const present = await pods(namespace)
      assert.ok(present.length >= count && present.every(shows), JSON.stringify(present.map((pod) => at(pod, 'spec'))))
    }, slow)

  /** There is no kubelet. In its place this loop writes the status of a pod that runs. */
  const stop = new AbortController()
  const kubelet = (async () => {
    while (!stop.signal.aborted) {
      for (const pod of (await Promise.all(namespaces.map(pods))).flat())
        if (at(pod, 'status.phase') !== 'Running')
          await cluster
            .patch(podType, pod.metadata.namespace ?? '', pod.metadata.name ?? '', { status: running() }, 'status')
            .catch(gone)
      await sleep(300, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  })()
  suite.after(async () => {
    stop.abort()
    await kubelet
  })

  const heeded = async ({ name: namespace, shows }: Platform) => {
    const probe = {
      name: 'consumer',
      image: 'probe',
      env: [{ name: 'A', value: 'b' }],
      volumeMounts: [{ name: 'v', mountPath: '/v' }],
    }
    const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }
    const metadata = { generateName: 'probe-', namespace, annotations: { a: 'b' } }
    const spec = {
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      tolerations: [{ key: 'kubernetes.io/arch', operator: 'Exists' }],
      containers: [{ ...probe, securityContext }],
      volumes: [{ name: 'v', emptyDir: {} }],
    }
    await eventually(async () => {
      const pod = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec })
      const { stdout, stderr } = await cluster.server.kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], pod)
      assert.ok(stdout.startsWith('{') && shows(JSON.parse(stdout) as Loose), `${namespace}: ${stderr}${stdout}`)
    }, slow)
  }
  await Promise.all(platforms.map(heeded))
  for (const namespace of namespaces) await cluster.apply(minimalPipeline(name, namespace, { redis: { url: redis.url } }))
  const first = await startOperator(suite, cluster)

  await suite.test('each makes its pods, and nothing is written at rest', async () => {
    await Promise.all(platforms.map(async (platform) => await made(platform, 1)))
    await restful(cluster)
  })

  await suite.test('the number of consumers and their configuration change as anywhere', async () => {
    for (const namespace of namespaces)
      await cluster.patch(pipelineType, namespace, name, {
        spec: { scaling: { policy: 'Manual' }, replicas: 2, source: { batchSize: 9 } },
      })
    await Promise.all(platforms.map(async (platform) => await made(platform, 2)))
    await restful(cluster)
  })

  await suite.test('another operator changes no object', async () => {
    const versions = async () =>
      await Promise.all(namespaces.map(async (namespace) => (await deployment(namespace))?.metadata.generation))
    const uids = async () =>
      (await Promise.all(namespaces.map(pods)))
        .flat()
        .map(({ metadata }) => metadata.uid)
        .sort()
    const before = { versions: await versions(), uids: await uids() }
    assert.equal(await first.stop(), 0)
    const written = (await writes(cluster)).length
    const second = await startOperator(suite, cluster, { podName: 'second' })
    await eventually(() => assert.ok(second.lines.some((line) => line.includes('"leading"'))), slow)
    await sleep(4_000)
    await restful(cluster)
    // Where a platform rewrites a Deployment, the new operator cannot see that nothing has changed. It applies the Deployment once,
    // in vain.
    assert.deepEqual(
      (await writes(cluster)).slice(written).filter((each) => !each.includes(` deployments ${autopilot}/`)),
      [],
    )
    assert.ok((await writes(cluster)).length - written <= 1)
    await Promise.all(platforms.map(async (platform) => await made(platform, 2)))
    assert.deepEqual({ versions: await versions(), uids: await uids() }, before)
  })

  // Hooks run in the order of their registration: the one above finds the cluster's client closed, and a call of it would fail.
  stop.abort()
  await kubelet
})
