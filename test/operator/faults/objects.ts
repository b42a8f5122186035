/** What else is in the namespace stands in the way: names taken, Secrets missing, quotas and policies. */

import type { ResourceType } from '../../../operator/kubernetes/objects.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, dispatchName } from '../../../operator/plan/names.ts'
import { rules } from '../cluster.ts'
import type { Fault, Site } from './fault.ts'
import { podsBecomeReady } from './pods.ts'

const labels = { app: 'stranger' }
const selector = { matchLabels: labels }
const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } }

function taken(type: ResourceType, nameOf: (pipeline: string) => string, content: object): Fault {
  return {
    name: `a stranger's ${type.kind} called ${nameOf('<name>')}`,
    before: ({ cluster, name, object }) => cluster.apply(object(type.apiVersion, type.kind, nameOf(name), content)),
    type: 'Reconciled',
    reason: 'NameTaken',
    reported: [
      new RegExp(`^${type.kind} ${nameOf('f-\\d+')} exists and belongs to an unknown owner`),
      /Rename the pipeline, or delete/,
    ],
    mend: ({ cluster, name, namespace }) => cluster.remove(type, namespace, nameOf(name)),
  }
}

const namesTaken: readonly Fault[] = [
  taken(kinds.deploymentType, consumerName, { spec: { replicas: 0, selector, template } }),
  taken(kinds.configMapType, consumerName, { data: { theirs: 'x' } }),
  taken(kinds.configMapType, dispatchName, { data: { theirs: 'x' } }),
  taken(kinds.serviceAccountType, consumerName, {}),
  taken(kinds.disruptionBudgetType, consumerName, { spec: { maxUnavailable: 1, selector } }),
  taken(kinds.networkPolicyType, consumerName, { spec: { podSelector: selector } }),
]

const secret = ({ cluster, object, name }: Site, data: Record<string, string>) =>
  cluster.apply(object('v1', 'Secret', name, { stringData: data }))
const from = (name: string, key: string) => ({ secretKeyRef: { name, key } })
const secure = ({ redis }: Site) => `rediss://127.0.0.1:${redis.port}/0`
const plain = async ({ patch, redis }: Site) => patch({ redis: { url: redis.url, urlFrom: null, tls: null, usernameFrom: null } })

const referred: readonly Fault[] = [
  {
    name: 'a Secret that is not there',
    spec: ({ redis, name }) => ({ redis: { url: redis.url, usernameFrom: from(name, 'user') } }),
    type: 'Reconciled',
    reason: 'ReferenceMissing',
    reported: [
      /Secret f-\d+ \(key user\), which spec\.redis\.usernameFrom refers to/,
      /there is no such Secret/,
      /Create the Secret/,
    ],
    mend: (site) => secret(site, { user: 'default' }),
  },
  {
    name: 'a Secret without the key',
    before: (site) => secret(site, { other: 'x' }),
    spec: ({ redis, name }) => ({ redis: { url: redis.url, usernameFrom: from(name, 'user') } }),
    type: 'RedisReachable',
    reason: 'ReferenceMissing',
    reported: [/Secret f-\d+ \(key user\)/, /the Secret has no such key/, /Create the Secret with that key/],
    mend: (site) => secret(site, { user: 'default' }),
  },
  {
    name: 'a ConfigMap that is not there',
    spec: (site) => ({ redis: { url: secure(site), tls: { caFrom: { configMapKeyRef: { name: site.name, key: 'ca' } } } } }),
    type: 'Reconciled',
    reason: 'ReferenceMissing',
    reported: [/ConfigMap f-\d+ \(key ca\), which spec\.redis\.tls\.caFrom refers to/, /Create the ConfigMap/],
    mend: plain,
  },
  {
    name: 'a Secret whose value is no address',
    before: (site) => secret(site, { url: 'http://nowhere' }),
    spec: ({ name }) => ({ redis: { urlFrom: from(name, 'url') } }),
    type: 'RedisReachable',
    reason: 'InvalidReference',
    reported: [/spec\.redis\.urlFrom takes from Secret f-\d+ \(key url\)/, /redis:\/\/host:port/, /Correct the value in Secret/],
    mend: (site) => secret(site, { url: site.redis.url }),
  },
  {
    name: 'a CA that is no certificate',
    before: (site) => secret(site, { ca: 'hello' }),
    spec: (site) => ({ redis: { url: secure(site), tls: { caFrom: from(site.name, 'ca') } } }),
    type: 'RedisReachable',
    reason: 'InvalidReference',
    reported: [/spec\.redis\.tls\.caFrom takes from Secret f-\d+ \(key ca\)/, /no certificate in PEM form/, /Correct the value/],
    mend: plain,
  },
  {
    name: 'a client key that is none',
    before: (site) => secret(site, { cert: 'hello', key: 'hello' }),
    spec: (site) => ({
      redis: { url: secure(site), tls: { certFrom: from(site.name, 'cert'), keyFrom: from(site.name, 'key') } },
    }),
    type: 'RedisReachable',
    reason: 'InvalidReference',
    reported: [/spec\.redis\.tls\.certFrom takes from Secret f-\d+ \(key cert\)/, /Correct the value in Secret/],
    mend: plain,
  },
]

const quota = (resource: string) => async (site: Site) => {
  const hard = { [resource]: '0' }
  await site.cluster.apply(site.object('v1', 'ResourceQuota', 'tight', { spec: { hard } }))
  // A controller counts usage. A count of nothing is enough here.
  const type = { apiVersion: 'v1', kind: 'ResourceQuota', plural: 'resourcequotas' }
  await site.cluster.patch(type, site.namespace, 'tight', { status: { hard, used: hard } }, 'status')
}
const unlimited = (site: Site) =>
  site.cluster.remove({ apiVersion: 'v1', kind: 'ResourceQuota', plural: 'resourcequotas' }, site.namespace, 'tight')
/** A refused ReplicaSet waits long before it tries again; a new template makes another at once. */
const again = async (site: Site, consumer: object = { annotations: { mended: 'yes' } }) => {
  await site.patch({ consumer })
  await podsBecomeReady(site)
}

const podsRefused = (name: string, reported: RegExp, more: Partial<Fault> & Pick<Fault, 'mend'>): Fault => ({
  name,
  type: 'ConsumersAvailable',
  reason: 'PodsRefused',
  reported: [/^Deployment f-\d+-consumer: /, reported, /Raise the quota, or change spec\.consumer/],
  ...more,
})

/** The operator's Role in that namespace, without some verbs on a kind. */
const role = (site: Site, without: readonly string[] = [], resource = '') => {
  const less = rules.map((rule) =>
    rule.resources.includes(resource) ? { ...rule, verbs: rule.verbs.filter((verb) => !without.includes(verb)) } : rule,
  )
  return site.cluster.apply(site.object('rbac.authorization.k8s.io/v1', 'Role', 'operator', { rules: less }))
}

const limited: readonly Fault[] = [
  {
    name: 'a right that its Role lacks',
    alone: true,
    before: (site) => role(site, ['create', 'patch'], 'poddisruptionbudgets'),
    type: 'Reconciled',
    reason: 'Forbidden',
    reported: [/^PodDisruptionBudget f-\d+-consumer: /, /cannot patch resource "poddisruptionbudgets"/, /Role/],
    mend: (site) => role(site),
  },
  {
    name: 'a quota on Deployments',
    alone: true,
    before: quota('count/deployments.apps'),
    type: 'Reconciled',
    reason: 'ApplyFailed',
    reported: [/^Deployment f-\d+-consumer: /, /exceeded quota: tight/, /quotas and admission policies name/],
    mend: unlimited,
  },
  {
    name: 'a quota on ConfigMaps',
    alone: true,
    before: quota('count/configmaps'),
    type: 'Reconciled',
    reason: 'ApplyFailed',
    reported: [/^ConfigMap f-\d+-/, /exceeded quota: tight/, /quotas and admission policies name/],
    mend: unlimited,
  },
  podsRefused('a quota on pods', /exceeded quota: tight/, {
    alone: true,
    before: quota('pods'),
    mend: async (site) => {
      await unlimited(site)
      await again(site)
    },
  }),
  podsRefused('a namespace whose security standard the pods breach', /violates PodSecurity "restricted/, {
    alone: true,
    before: ({ cluster, namespace }) =>
      cluster.patch({ apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces' }, '', namespace, {
        metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
      }),
    spec: () => ({ consumer: { securityContext: { runAsNonRoot: false } } }),
    mend: (site) => again(site, { securityContext: null }),
  }),
  podsRefused('a priority class that does not exist', /no PriorityClass with name absent/, {
    spec: () => ({ consumer: { priorityClassName: 'absent' } }),
    mend: (site) => again(site, { priorityClassName: null }),
  }),
  podsRefused("a ServiceAccount of the user's own that does not exist", /serviceaccount "absent" not found/, {
    spec: () => ({ consumer: { serviceAccountName: 'absent' } }),
    mend: (site) => again(site, { serviceAccountName: null }),
  }),
]

export const objectFaults: readonly Fault[] = [...namesTaken, ...referred, ...limited]
