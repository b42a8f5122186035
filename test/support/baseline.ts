/**
 * The baseline of an API server is its state before a test uses it. A return to the baseline writes the former keys into etcd directly, past
 * the server. The server decides by its caches. So the return ends only when the caches of objects, rights and kinds have the new keys.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { group, plural, version } from '../../api/crd.ts'
import { change, differenceOf, keysOf, readStored } from './etcdkeys.ts'
import type { KubeClient } from './kubeclient.ts'
import { eventually } from './wait.ts'

export interface Baseline {
  readonly stored: Readonly<Record<string, string>>
  /** Names each version of each group, with a hash of its schemas. */
  readonly schemas: string
}

/** A server that has just started writes on for a moment. It sums up the schemas of kinds each second. */
const quietMs = 1_000
const patience = { timeoutMs: 60_000 }

export const takeBaseline = async (etcdPort: number, client: KubeClient): Promise<Baseline> => {
  let before = await present(etcdPort, client)
  await eventually(async () => {
    await delay(quietMs)
    const last = before
    before = await present(etcdPort, client)
    assert.deepEqual(before, last, 'it is quiet')
  }, patience)
  return before
}

/** Afterwards nothing shows what was done to the server since `takeBaseline`, but its versions, which count on. */
export const returnTo = async ({ stored, schemas }: Baseline, etcdPort: number, client: KubeClient): Promise<void> => {
  const wanted = new Map(Object.entries(stored))
  const differs = async () => differenceOf(await readStored(etcdPort), wanted)
  await eventually(async () => {
    const difference = await differs()
    const revision = await change(etcdPort, difference)
    // Without this wait, the server might notice the change of a kind only after the return.
    if (keysOf(difference).some((key) => key.startsWith('/registry/apiextensions.k8s.io/'))) await delay(quietMs)
    await Promise.all([
      objectsNoticed(client, revision),
      rightsNoticed(etcdPort, client),
      eventually(async () => assert.equal(await schemasOf(client), schemas)),
    ])
    // A last request of an earlier test may have come late, and the server itself writes about kinds that come and go.
    assert.deepEqual(await differs(), { surplus: [], lacking: [] })
  }, patience)
}

const present = async (etcdPort: number, client: KubeClient): Promise<Baseline> => ({
  stored: Object.fromEntries(await readStored(etcdPort)),
  schemas: await schemasOf(client),
})

const get = async (client: KubeClient, path: string): Promise<string> => {
  const { code, text } = await client.ask('GET', path)
  assert.equal(code, 200, `${path}: ${text}`)
  return text
}

const schemasOf = (client: KubeClient): Promise<string> => get(client, '/openapi/v3')

/** Kinds that tests make. */
const lists = [
  ...['namespaces', 'pods', 'configmaps', 'secrets', 'serviceaccounts'].map((name) => `/api/v1/${name}`),
  '/apis/apps/v1/deployments',
  '/apis/coordination.k8s.io/v1/leases',
  '/apis/events.k8s.io/v1/events',
  '/apis/networking.k8s.io/v1/networkpolicies',
  '/apis/policy/v1/poddisruptionbudgets',
  `/apis/${group}/${version}/${plural}`,
]

/** The server may answer a list from its cache, but only once the cache holds this revision. */
const objectsNoticed = async (client: KubeClient, revision: string): Promise<void> => {
  const query = `limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=${revision}`
  await Promise.all(lists.map((path) => eventually(() => get(client, `${path}?${query}`))))
}

/**
 * Each of the four kinds reaches the authorizer in its own time, and in order. So once it heeds new rights, in a namespace and in all,
 * it has forgotten the old ones.
 */
const rightsNoticed = async (etcdPort: number, client: KubeClient): Promise<void> => {
  const name = `noticed-${randomUUID()}`
  const apiGroup = 'rbac.authorization.k8s.io'
  const place = (kind: string) => (kind.startsWith('Cluster') ? '' : 'default/')
  const create = async (kind: string, more: object) => {
    const path = `/apis/${apiGroup}/v1/${place(kind) && 'namespaces/default/'}${kind.toLowerCase()}s`
    const { code, text } = await client.ask('POST', path, { metadata: { name }, ...more })
    assert.equal(code, 201, text)
  }
  const rights = (kind: 'ClusterRole' | 'Role') =>
    Promise.all([
      create(kind, { rules: [{ apiGroups: [''], resources: [kind.toLowerCase()], verbs: ['get'] }] }),
      create(`${kind}Binding`, { subjects: [{ kind: 'User', name, apiGroup }], roleRef: { kind, name, apiGroup } }),
    ])
  await Promise.all([rights('ClusterRole'), rights('Role')])
  await eventually(async () => {
    for (const resource of ['clusterrole', 'role']) {
      const resourceAttributes = { verb: 'get', resource, namespace: 'default' }
      const review = { spec: { user: name, resourceAttributes } }
      const { text } = await client.ask('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', review)
      assert.match(text, /"allowed":true/, `${resource}: ${text}`)
    }
  })
  const kinds = ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding']
  await change(etcdPort, { surplus: kinds.map((kind) => `/registry/${kind.toLowerCase()}s/${place(kind)}${name}`), lacking: [] })
}
