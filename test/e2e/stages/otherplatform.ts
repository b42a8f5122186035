/**
 * A second release on an OpenShift-like platform, confined to its namespace and that of its pipeline, then lost and restored from a
 * backup: first the operator's namespace, with its signing Secret; then both namespaces, without it. It runs beside the other stages:
 * nothing here touches the first release.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { isAssigned, openShiftAssigns, openShiftNamespace, openShiftRefuses } from '../../scenarios/platforms/openshift.ts'
import { accounted } from '../account.ts'
import { apply, execute, get, helm, kubectl, program } from '../commands.ts'
import { patience, until } from '../patience.ts'
import { chart, isReady, type Pod, payload, pipelinesNamespace, restartsOf, statusOf } from '../pipeline.ts'
import type { Report } from '../stage.ts'
import { createTraffic, type Traffic } from '../traffic.ts'

const operators = 'shift'
const pipelines = 'shift-farm'
const name = 'shifted'
const place = { stream: `${name}:jobs`, group: name, queue: name }
const signing = 'streampipeline-operator-signing'
const perSecond = 50

const pipeline = {
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name },
  spec: {
    redis: { url: `redis://redis.${pipelinesNamespace}.svc:6379/0` },
    source: { stream: place.stream, group: place.group },
    payload,
    sink: { bullmq: { queue: place.queue, maxWaiting: 1_000_000 } },
    idempotency: { lockTTL: '10s' },
    reclaim: { interval: '2s', minIdle: '10s' },
    scaling: { minReplicas: 1, maxReplicas: 1 },
  },
}

const podsOf = async (namespace: string): Promise<readonly Pod[]> => {
  const { items } = await get<{ items: Pod[] }>('-n', namespace, 'pods')
  return items.filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase === 'Running')
}

async function ready(): Promise<void> {
  await until(
    async () => {
      const { conditions = [] } = await statusOf(name, pipelines)
      const condition = conditions.find(({ type }) => type === 'Ready')
      assert.equal(condition?.status, 'True', condition?.message ?? 'no status')
      const found = await podsOf(pipelines)
      assert.ok(found.length === 1 && found.every(isReady), `${found.length} pods`)
    },
    120_000,
    500,
  )
}

async function uidIn(namespace: string): Promise<number> {
  const [pod] = await podsOf(namespace)
  const asked = ['exec', pod?.metadata.name ?? '', '--', '/nodejs/bin/node', '--print', 'process.getuid()']
  return Number(await kubectl('-n', namespace, ...asked))
}

/** Undefined: this cluster cannot play the platform, or is the platform itself. */
async function playedBy(): Promise<readonly object[] | undefined> {
  const { stdout } = await execute(program('kubectl'), [
    'api-resources',
    '--api-group=admissionregistration.k8s.io',
    '-o',
    'name',
  ])
  const { stdout: real } = await execute(program('kubectl'), ['api-resources', '--api-group=security.openshift.io', '-o', 'name'])
  if (real.trim() !== '') return undefined
  return stdout.includes('mutatingadmissionpolicies') ? [...openShiftRefuses, ...openShiftAssigns] : openShiftRefuses
}

const probe = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'probe' },
  spec: {
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      { name: 'c', image: 'probe', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } },
    ],
  },
}

/** An API server heeds a new policy a little later. */
const assigns = async (namespace: string): Promise<void> =>
  await until(
    async () => {
      const args = ['-n', namespace, 'create', '--dry-run=server', '-o', 'json', '-f', '-']
      const { code, stdout, stderr } = await execute(program('kubectl'), args, JSON.stringify(probe))
      assert.equal(code, 0, stderr)
      assert.match(stdout, /"runAsUser": \d+/)
    },
    60_000,
    500,
  )

/** That of all stages here. */
export const trafficOf = (redis: Redis, seed: number): Traffic => createTraffic(redis, place, seed)

export async function openShift(report: Report, traffic: Traffic): Promise<void> {
  const rules = await playedBy()
  await apply(
    { apiVersion: 'v1', kind: 'List', items: [...(rules ?? []), ...[operators, pipelines].map(openShiftNamespace)] },
    'default',
  )
  const assigned = rules !== undefined && rules.length > openShiftRefuses.length
  for (const namespace of assigned ? [operators, pipelines] : []) await assigns(namespace)
  const values = ['crds.enabled=false', `namespaces={${pipelines}}`, 'replicas=1'].flatMap((value) => ['--set', value])
  await helm('install', operators, chart, '-n', operators, ...values, '--wait', '--timeout', patience(90))
  await apply(pipeline, pipelines)
  await ready()
  await traffic.burst(200)
  await accounted(report, name, traffic)
  if (rules?.length === openShiftRefuses.length) return report.note('this cluster has no policy that assigns users')
  for (const namespace of [operators, pipelines]) {
    const uid = await uidIn(namespace)
    assert.ok(isAssigned(uid), `a pod in ${namespace} runs as ${uid}`)
  }
}

interface Kept {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: object
    readonly annotations?: Readonly<Record<string, string>>
    readonly ownerReferences?: readonly { readonly uid: string; readonly name: string }[]
  }
}

const keptKinds =
  'secrets,configmaps,serviceaccounts,roles,rolebindings,services,poddisruptionbudgets,deployments,leases,streampipelines'

/** As a backup tool keeps objects: without owner references, uid and status. Objects that each namespace gets by itself are left out. */
async function backUp(namespace: string): Promise<readonly object[]> {
  const { items } = await get<{ items: Kept[] }>('-n', namespace, keptKinds)
  return items
    .filter(({ metadata }) => !['default', 'kube-root-ca.crt'].includes(metadata.name))
    .map(({ metadata, ...rest }) => ({
      ...rest,
      status: undefined,
      metadata: { name: metadata.name, namespace, labels: metadata.labels, annotations: metadata.annotations },
    }))
}

/** Lost with all that is in it, and made anew from the backup. */
async function restore(namespaces: readonly string[], objects: readonly object[]): Promise<void> {
  await kubectl('delete', 'namespace', ...namespaces, `--timeout=${patience(90)}`)
  const again = namespaces.map(openShiftNamespace)
  await apply({ apiVersion: 'v1', kind: 'List', items: again }, 'default')
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
  const { code, stderr } = await execute(program('kubectl'), ['create', '-f', '-'], list)
  assert.equal(code, 0, stderr)
}

/** Until the operator leads and has looked at what was restored. */
async function led(): Promise<void> {
  await kubectl('-n', operators, 'rollout', 'status', 'deployment', `--timeout=${patience(60)}`)
  await until(
    async () => {
      const { items } = await get<{ items: Pod[] }>('-n', operators, 'pods')
      const lease = await get<{ spec: { holderIdentity?: string } }>(
        '-n',
        operators,
        'lease',
        `${operators}-streampipeline-operator`,
      )
      const [leader] = (lease.spec.holderIdentity ?? '').split('_')
      assert.ok(
        items.some(({ metadata }) => metadata.name === leader),
        `${leader} leads`,
      )
    },
    60_000,
    500,
  )
  await sleep(2_000)
}

const described = async (): Promise<readonly string[]> =>
  (await podsOf(pipelines)).map((pod) => `${pod.metadata.name} ${pod.metadata.uid} ${restartsOf(pod)}`)

export async function restoreOperator(report: Report, traffic: Traffic): Promise<void> {
  const flow = traffic.flow(perSecond)
  try {
    const before = await described()
    const kept = await backUp(operators)
    await restore([operators], kept)
    await led()
    await ready()
    assert.deepEqual(await described(), before, 'with its signing Secret, no consumer restarts')
  } finally {
    await flow.stop()
  }
  await accounted(report, name, traffic)
}

interface Child {
  readonly metadata: { readonly ownerReferences?: readonly { readonly uid: string }[] }
}

/** Adopted, and at work; but the claim on its group is of a pipeline of another installation, and stands for ten minutes. */
async function claimed(): Promise<void> {
  await until(
    async () => {
      const { conditions = [] } = await statusOf(name, pipelines)
      const reasons = conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`)
      assert.ok(reasons.includes('Reconciled=True ObjectsApplied'), reasons.join())
      assert.ok(
        reasons.some((reason) => reason.endsWith(' StreamClaimed')),
        reasons.join(),
      )
      const found = await podsOf(pipelines)
      assert.ok(found.length === 1 && found.every(isReady), `${found.length} pods`)
    },
    60_000,
    500,
  )
}

export async function restoreAll(report: Report, traffic: Traffic): Promise<void> {
  const flow = traffic.flow(perSecond)
  try {
    const kept = [...(await backUp(operators)), ...(await backUp(pipelines))].filter(
      (object) => (object as Kept).metadata.name !== signing,
    )
    await restore([operators, pipelines], kept)
    await led()
    await claimed()
  } finally {
    await flow.stop()
  }
  await accounted(report, name, traffic)
  const { metadata } = await get<{ metadata: { uid: string } }>('-n', pipelines, 'streampipeline', name)
  const children = ['deployment', 'configmap', 'serviceaccount', 'poddisruptionbudget'].map((kind) => `${kind}/${name}-consumer`)
  const { items } = await get<{ items: Child[] }>('-n', pipelines, ...children)
  assert.equal(items.length, children.length)
  for (const child of items)
    assert.deepEqual(
      child.metadata.ownerReferences?.map(({ uid }) => uid),
      [metadata.uid],
      'adopted',
    )
  assert.match(
    await kubectl('-n', operators, 'logs', 'deployment/shift-streampipeline-operator'),
    /an object without an owner was adopted/,
  )
}

export async function removeOtherPlatform(): Promise<void> {
  await kubectl('delete', 'namespace', operators, pipelines, '--ignore-not-found', '--wait=false')
  for (const kind of ['mutatingadmissionpolicy', 'validatingadmissionpolicy'])
    await execute(program('kubectl'), ['delete', `${kind},${kind}binding`, 'restricted-v2', '--ignore-not-found'])
}
