/**
 * Every right the operator needs, the one table: the chart's Roles are generated from it, and tests run the operator with nothing
 * else. `Pipelines` rules hold in each namespace whose pipelines it serves (or in all); `Own` rules only where it runs itself.
 * No verb on Secrets lets it list them: it reads those a pipeline names.
 */
export interface RbacRule {
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

export const rbacRules: readonly RbacRule[] = [
  {
    where: 'Pipelines',
    apiGroups: [group],
    resources: ['streampipelines'],
    verbs: ['list', 'watch'],
    why: 'to read the pipelines',
  },
  { where: 'Pipelines', apiGroups: [group], resources: ['streampipelines/status'], verbs: ['patch'], why: 'to write the status' },
  {
    where: 'Pipelines',
    apiGroups: [group],
    resources: ['streampipelines/finalizers'],
    verbs: ['update'],
    why: 'to set owner references that block deletion; OwnerReferencesPermissionEnforcement demands it, as on OpenShift',
  },
  { where: 'Pipelines', apiGroups: ['apps'], resources: ['deployments'], verbs: applied, why: 'to run the consumers' },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['configmaps'],
    verbs: applied,
    why: 'for the configuration of consumers and of producers',
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['serviceaccounts'],
    verbs: [...applied, 'delete'],
    why: 'for the identity of consumers',
  },
  {
    where: 'Pipelines',
    apiGroups: ['policy'],
    resources: ['poddisruptionbudgets'],
    verbs: applied,
    why: 'so that node drains evict consumers one by one',
  },
  {
    where: 'Pipelines',
    apiGroups: ['networking.k8s.io'],
    resources: ['networkpolicies'],
    verbs: [...applied, 'delete'],
    why: 'for the network policies of consumers; if networkPolicy.consumers is false, the operator deletes the policies that it made earlier',
  },
  {
    where: 'Pipelines',
    apiGroups: ['monitoring.coreos.com'],
    resources: ['podmonitors'],
    verbs: applied,
    why: 'so that Prometheus scrapes the consumers',
    flag: 'pod-monitor',
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['pods'],
    verbs: [...watched, 'patch'],
    why: 'to see which consumers run, and why others do not; to mark the pods that Kubernetes should delete first',
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['secrets'],
    verbs: ['get'],
    why: 'to read passwords and certificates, by name only',
  },
  {
    where: 'Pipelines',
    apiGroups: [''],
    resources: ['events'],
    verbs: ['list'],
    why: 'to find why a pod does not run if only its Events name the cause, such as a volume that cannot be mounted',
  },
  {
    where: 'Pipelines',
    apiGroups: ['events.k8s.io'],
    resources: ['events'],
    verbs: ['create', 'patch'],
    why: 'to record Events',
  },
  {
    where: 'Pipelines',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['create'],
    why: 'to claim the namespace, so that no other release serves it, too',
  },
  {
    where: 'Pipelines',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: ['streampipeline-operator-scope'],
    verbs: ['list', 'watch', 'update'],
    why: 'to see that claim and renew it',
  },
  { where: 'Own', apiGroups: [''], resources: ['secrets'], verbs: ['create'], why: 'to create its signing key, once' },
  {
    where: 'Own',
    apiGroups: [''],
    resources: ['secrets'],
    resourceNames: ['streampipeline-operator-signing'],
    verbs: ['get'],
    why: 'to read its signing key',
  },
  {
    where: 'Own',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: [...watched, 'create', 'update'],
    why: 'for leader election',
  },
]

interface PolicyRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** As a Role has it. */
export function policyRule({ apiGroups, resources, resourceNames, verbs }: RbacRule): PolicyRule {
  return { apiGroups, resources, ...(resourceNames === undefined ? {} : { resourceNames }), verbs }
}
