/**
 * Every right the operator needs, the one table: the chart's Roles are generated from it, and tests run the operator with nothing
 * else. `Pipelines` rules hold in each namespace whose pipelines it serves (or in all); `Own` rules only where it runs itself.
 * No verb on Secrets lets it list them: it reads those a pipeline names.
 */
export interface Right {
  readonly where: 'Pipelines' | 'Own'
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
  readonly why: string
  /** Needed only when this flag of `streampipeline operator` is set. */
  readonly flag?: 'pod-monitor'
}

const watched: readonly string[] = ['get', 'list', 'watch']
const applied: readonly string[] = [...watched, 'create', 'patch']
const group = 'streampipeline.dev'

export const rights: readonly Right[] = [
  {
    where: 'Pipelines',
    apiGroups: [group],
    resources: ['streampipelines'],
    verbs: ['list', 'watch'],
    why: 'to know what is wanted',
  },
  { where: 'Pipelines', apiGroups: [group], resources: ['streampipelines/status'], verbs: ['patch'], why: 'to report' },
  {
    where: 'Pipelines',
    apiGroups: [group],
    resources: ['streampipelines/finalizers'],
    verbs: ['update'],
    why: 'owner references that block deletion need it where OwnerReferencesPermissionEnforcement is on, as on OpenShift',
  },
  { where: 'Pipelines', apiGroups: ['apps'], resources: ['deployments'], verbs: applied, why: 'the consumers' },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['configmaps'],
    verbs: applied,
    why: "the consumers' configuration, and producers'",
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['serviceaccounts'],
    verbs: [...applied, 'delete'],
    why: "the consumers' identity",
  },
  { where: 'Pipelines', apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: applied, why: 'drains one by one' },
  {
    where: 'Pipelines',
    apiGroups: ['networking.k8s.io'],
    resources: ['networkpolicies'],
    verbs: [...applied, 'delete'],
    why: "the consumers' ingress; without --network-policy, to take earlier ones away",
  },
  {
    where: 'Pipelines',
    apiGroups: ['monitoring.coreos.com'],
    resources: ['podmonitors'],
    verbs: applied,
    why: 'to have the consumers scraped',
    flag: 'pod-monitor',
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['pods'],
    verbs: [...watched, 'patch'],
    why: 'which consumers run, and why others do not; which of them is to go first',
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['secrets'],
    verbs: ['get'],
    why: 'passwords and certificates, by name only',
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['events'],
    verbs: ['list'],
    why: 'what keeps a pod from running where only its Events tell, such as a volume that cannot be mounted',
  },
  { where: 'Pipelines', apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'], why: 'what happened' },
  {
    where: 'Pipelines',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['create'],
    why: 'to claim the namespace, so that no other release works against it',
  },
  {
    where: 'Pipelines',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: ['streampipeline-operator-scope'],
    verbs: ['list', 'watch', 'update'],
    why: 'to see that claim and to renew it',
  },
  { where: 'Own', apiGroups: [''], resources: ['secrets'], verbs: ['create'], why: 'its signing key, once' },
  {
    where: 'Own',
    apiGroups: [''],
    resources: ['secrets'],
    resourceNames: ['streampipeline-operator-signing'],
    verbs: ['get'],
    why: 'its signing key',
  },
  {
    where: 'Own',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: [...watched, 'create', 'update'],
    why: 'leader election',
  },
]

interface PolicyRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** As a Role has it. */
export function policyRule({ apiGroups, resources, resourceNames, verbs }: Right): PolicyRule {
  return { apiGroups, resources, ...(resourceNames === undefined ? {} : { resourceNames }), verbs }
}
