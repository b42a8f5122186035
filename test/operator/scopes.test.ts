/** Several releases of the operator on one real API server: who serves a namespace, who stands back, and who leads. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { loadCredentials } from '../../operator/kubernetes/credentials.ts'
import { createElector } from '../../operator/kubernetes/elector.ts'
import { leaseType } from '../../operator/kubernetes/lease.ts'
import { createTransport } from '../../operator/kubernetes/transport.ts'
import * as kinds from '../../operator/plan/kinds.ts'
import { consumerName } from '../../operator/plan/names.ts'
import { scopeLeaseName } from '../../operator/scopes.ts'
import { createSuccession, fixedLeaseName } from '../../operator/succession.ts'
import { systemClock } from '../../process/clock.ts'
import { needsApiServer } from '../support/apiserver.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import {
  at,
  borrowCluster,
  conditionOf,
  type Loose,
  minimalPipeline,
  type RunningOperator,
  rules,
  startOperator,
} from './cluster.ts'

const slow = { timeoutMs: 60_000 }
const scopeMs = 4_000

async function answer({ ports }: RunningOperator, path: 'readyz' | 'metrics'): Promise<string> {
  const { health, metrics } = await ports
  const port = path === 'readyz' ? health : metrics
  const response = await fetch(`http://127.0.0.1:${port}/${path}`, { headers: { connection: 'close' } })
  return `${response.status} ${await response.text()}`
}

async function site(t: TestContext, namespaces: readonly string[] = []) {
  const [cluster, redis] = await Promise.all([borrowCluster(t, { namespaces }), startRedis(t)])
  for (const name of ['first', 'second', 'farm', 'mill'])
    if (!namespaces.includes(name)) await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  const make = (namespace: string, name: string) =>
    cluster.apply(
      minimalPipeline(name, namespace, { redis: { url: redis.url }, source: { stream: `${namespace}-${name}`, group: 'g' } }),
    )
  const carriedOut = (namespace: string, name: string) =>
    eventually(async () => {
      const found = await cluster.get<Loose>(kinds.pipelineType, namespace, name)
      assert.equal(at(found, 'status.observedGeneration'), found?.metadata.generation)
      assert.equal(conditionOf(found, 'Reconciled')?.reason, 'ObjectsApplied')
    }, slow)
  const holder = async (namespace: string, name = scopeLeaseName) =>
    at(await cluster.get(leaseType, namespace, name), 'spec.holderIdentity')
  const release = (podNamespace: string, more: object = {}) =>
    startOperator(t, cluster, { podNamespace, podName: podNamespace, scopeMs, ...more })
  return { cluster, make, carriedOut, holder, release }
}

test(
  'two releases for the whole cluster: the younger stands back, and takes over when the older is gone',
  needsApiServer,
  async (t) => {
    const { cluster, make, carriedOut, holder, release } = await site(t)
    const elder = await release('first')
    await make('farm', 'one')
    await carriedOut('farm', 'one')
    assert.equal(await holder('farm'), `first/${fixedLeaseName}`)
    const younger = await release('second')
    await eventually(
      async () => assert.match(await answer(younger, 'readyz'), /^503 another release serves all namespaces\n/),
      slow,
    )
    assert.match(await answer(younger, 'readyz'), /namespace farm is served by another release: first\/streampipeline-operator/)
    const standing = 'streampipeline_operator_standing_back{namespace="farm",holder="first/streampipeline-operator"} 1'
    assert.ok((await answer(younger, 'metrics')).includes(standing))
    assert.ok(younger.lines.some((line) => line.includes('"warn"') && line.includes('this one stands back')))
    assert.equal(await answer(elder, 'readyz'), '200 ok\n')

    const writes = async () =>
      (await cluster.server.requests()).filter(
        ({ verb, resource, namespace }) =>
          !['get', 'list', 'watch'].includes(verb) && resource !== 'leases' && resource !== 'events' && namespace === 'farm',
      ).length
    const before = await writes()
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    assert.equal(await writes(), before, 'no operator writes')
    await cluster.patch(kinds.pipelineType, 'farm', 'one', { spec: { source: { batchSize: 9 } } })
    await carriedOut('farm', 'one')

    // Another namespace with a pipeline belongs to the release that claims it first. Both serve no namespace together.
    await make('mill', 'two')
    await carriedOut('mill', 'two')
    assert.equal(await elder.stop(), 0)
    for (const [namespace, name] of [
      ['farm', 'one'],
      ['mill', 'two'],
    ] as const) {
      await eventually(async () => assert.equal(await holder(namespace), `second/${fixedLeaseName}`), slow)
      await cluster.patch(kinds.pipelineType, namespace, name, { spec: { source: { batchSize: 11 } } })
      await carriedOut(namespace, name)
    }
    await eventually(async () => assert.equal(await answer(younger, 'readyz'), '200 ok\n'), slow)

    // The elder comes back: now it is the younger.
    const back = await release('first', { podName: 'back' })
    await eventually(async () => assert.match(await answer(back, 'readyz'), /^503 /), slow)
    assert.match(await answer(younger, 'readyz'), /^200 ok\n$/)
  },
)

test(
  'releases in one namespace, each with a Lease and namespaces of its own, serve them side by side',
  needsApiServer,
  async (t) => {
    const { make, carriedOut, holder, release } = await site(t, ['default', 'farm', 'mill'])
    const farm = await release('default', { podName: 'f', lease: 'sp-farm', namespaces: 'farm' })
    const mill = await release('default', { podName: 'm', lease: 'sp-mill', namespaces: 'mill' })
    for (const namespace of ['farm', 'mill']) {
      await make(namespace, 'one')
      await carriedOut(namespace, 'one')
      assert.equal(await holder(namespace), `default/sp-${namespace}`)
    }
    assert.match(String(await holder('default', 'sp-farm')), /^f_/)
    assert.match(String(await holder('default', 'sp-mill')), /^m_/)
    assert.equal(await holder('default', fixedLeaseName), undefined, 'nobody needs the fixed one')
    // A third that overlaps with one of them serves the rest.
    const both = await release('default', { podName: 'b', lease: 'sp-both', namespaces: 'mill,default' })
    await make('default', 'one')
    await carriedOut('default', 'one')
    assert.match(await answer(both, 'readyz'), /^200 ok\nnamespace mill is served by another release: default\/sp-mill\n$/)
    assert.equal(await mill.stop(), 0)
    await eventually(async () => assert.equal(await holder('mill'), 'default/sp-both'), slow)
    await carriedOut('mill', 'one')
    assert.equal(await farm.stop(), 0)
  },
)

test('a namespace that cannot be claimed is served all the same, and that is reported', needsApiServer, async (t) => {
  const { cluster, make, carriedOut, release } = await site(t, ['default', 'farm'])
  const less = rules.filter(({ resources, resourceNames }) => !resources.includes('leases') || resourceNames !== undefined)
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'operator', namespace: 'farm' } }
  await cluster.apply({ ...role, rules: less.filter(({ resources }) => !resources.includes('leases')) })
  await cluster.permits(
    'operator',
    { verb: 'create', group: 'coordination.k8s.io', resource: 'leases', namespace: 'farm' },
    false,
  )
  const operator = await release('default', { namespaces: 'farm' })
  await make('farm', 'one')
  await carriedOut('farm', 'one')
  assert.ok(operator.lines.some((line) => line.includes('the namespace is served, but not claimed')))
  assert.ok(await cluster.get(kinds.deploymentType, 'farm', consumerName('one')))
})

test(
  'an upgrade from the fixed Lease: an earlier leader is awaited, none works beside a later one',
  needsApiServer,
  async (t) => {
    const cluster = await borrowCluster(t)
    const working = new Set<string>()
    let together = 0
    const start = (identity: string, name: string | undefined) => {
      const transport = createTransport(loadCredentials(cluster.server.kubeconfig))
      const stop = new AbortController()
      const quiet = { onFailure: () => {}, onRewound: () => {} }
      const common = { transport, clock: systemClock, namespace: 'default', identity, holdMs: 25_000, ...quiet }
      // Without a name: as earlier versions elect.
      const elector =
        name === undefined ? createElector({ ...common, name: fixedLeaseName }) : createSuccession({ ...common, name })
      const done = elector.run(stop.signal, async (term) => {
        working.add(identity)
        const [release] = identity.split('-')
        if ([...working].filter((each) => each.startsWith(release ?? '')).length > 1) together += 1
        if (!term.aborted) await new Promise<void>((resolve) => term.addEventListener('abort', () => resolve(), { once: true }))
        working.delete(identity)
      })
      const end = async () => {
        stop.abort()
        await done
        await transport.close()
      }
      t.after(end)
      return end
    }
    const leads = (...identities: string[]) => eventually(() => assert.deepEqual([...working].toSorted(), identities), slow)
    const endOld = start('a-old-1', undefined)
    await leads('a-old-1')
    const endOther = start('a-old-2', undefined)
    const endNew = start('a-new-1', 'a')
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    await leads('a-old-1')
    // One of the two that waited has it; the other waits on, whichever it is.
    await endOld()
    await eventually(() => assert.equal(working.size, 1), slow)
    await endOther()
    await leads('a-new-1')
    // Rolled back: the earlier version waits until the later one is gone.
    const endBack = start('a-back', undefined)
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    await leads('a-new-1')
    // A second release of this version does not wait for the first.
    const endPeer = start('b-new-1', 'b')
    await leads('a-new-1', 'b-new-1')
    await endPeer()
    await endNew()
    await leads('a-back')
    // Nor does a later one work beside the earlier that was there before it.
    const endLast = start('a-last', 'a')
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    await leads('a-back')
    await endBack()
    await leads('a-last')
    // A release under the fixed name has it as soon as a rollout cannot last any longer.
    const endDefault = start('c-default', fixedLeaseName)
    await leads('a-last', 'c-default')
    await endDefault()
    await endLast()
    assert.equal(together, 0, 'never two leaders of one release')
  },
)
