/** The one table of the chart's values. values.yaml, values.schema.json and the chart's README are generated from it. */
import { type ListLimit, listLimits } from '../../operator/policy/limits.ts'

export interface Value {
  readonly description: string
  readonly default: unknown
  /** JSON Schema of it, without description and default. */
  readonly schema: object
}

export interface ValueGroup {
  readonly description: string
  readonly fields: Readonly<Record<string, Value | ValueGroup>>
}

export const isGroup = (value: Value | ValueGroup): value is ValueGroup => 'fields' in value

const value = (description: string, initial: unknown, schema: object): Value => ({ description, default: initial, schema })
const text = (description: string, initial = '', more: object = {}) => value(description, initial, { type: 'string', ...more })
const flag = (description: string, initial: boolean) => value(description, initial, { type: 'boolean' })
const strings = (description: string, initial: Readonly<Record<string, string>> = {}) =>
  value(description, initial, { type: 'object', additionalProperties: { type: 'string' } })
/** Passed to Kubernetes unchanged. The API server checks it. */
const object = (description: string, initial: object = {}) => value(description, initial, { type: 'object' })
const list = (description: string, items: object, more: object = {}) => value(description, [], { type: 'array', items, ...more })
const group = (description: string, fields: ValueGroup['fields']): ValueGroup => ({ description, fields })

const limitList = ({ help, form }: ListLimit): Value =>
  value(`${help}. Not set: all are allowed.`, null, {
    type: ['array', 'null'],
    items: { type: 'string', pattern: form },
    uniqueItems: true,
  })

const image = (what: string, repository: string) =>
  group(`Image of ${what}.`, {
    registry: text('Put before the repository, as `registry.example.com`; empty: the cluster’s default.', '', {
      pattern: '^[^/\\s]*$',
    }),
    repository: text('Name without tag.', repository, { minLength: 1, pattern: '^[a-z0-9][a-z0-9._/-]*$' }),
    tag: text('Empty: the chart’s appVersion.', '', { pattern: '^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$' }),
    digest: text('`sha256:…`; wins over the tag.', '', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
  })

const namespace = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' }
const name = { pattern: '^([a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?)?$' }
const duration = { pattern: '^[0-9]+(ms|s|m)$' }

export const values: Readonly<Record<string, Value | ValueGroup>> = {
  nameOverride: text('Instead of the chart’s name in labels.', '', name),
  fullnameOverride: text('Instead of the release’s name in names of objects.', '', name),
  image: image('the operator', 'streampipeline/operator'),
  consumerImage: image('consumers whose pipeline names none', 'streampipeline/consumer'),
  imagePullPolicy: value('Of the operator’s image.', 'IfNotPresent', { enum: ['Always', 'IfNotPresent', 'Never'] }),
  imagePullSecrets: list(
    'Secrets with credentials for the operator’s image; consumers have their own in `spec.consumer.imagePullSecrets`.',
    { type: 'object', required: ['name'], additionalProperties: false, properties: { name: { type: 'string', minLength: 1 } } },
  ),
  namespaces: list(
    'Namespaces whose pipelines are served; empty: all. With a list there are Roles in these namespaces and no ClusterRole at all.',
    namespace,
    { uniqueItems: true },
  ),
  replicas: value('Operator pods. One leads. The others have warm caches and take over within seconds.', 2, {
    type: 'integer',
    minimum: 1,
    maximum: 5,
  }),
  logLevel: value('Log level of the operator.', 'info', { enum: ['debug', 'info', 'warn', 'error'] }),
  decisionLog: value(
    'Scaling decisions to log in full, for `simulate --replay`: those that change the number, all (some kilobytes per pipeline and five seconds), or none.',
    'changes',
    { enum: ['none', 'changes', 'all'] },
  ),
  crds: group('The CustomResourceDefinition.', {
    enabled: flag('Install and upgrade it. Set false in all but one of the releases in a cluster: they share one.', true),
    keep: flag('Keep it, and every StreamPipeline, when the chart is uninstalled.', true),
  }),
  rbac: group('Rights.', {
    create: flag('Create the operator’s Roles, or ClusterRole, and their bindings.', true),
    userRoles: flag(
      'Let the built-in roles view, edit and admin reach StreamPipelines (aggregated ClusterRoles; only where `namespaces` is empty).',
      true,
    ),
  }),
  serviceAccount: group('The operator’s identity.', {
    create: flag('Make it.', true),
    name: text('Empty: the release’s full name, or `default` where none is made.', '', name),
    annotations: strings('Of the ServiceAccount.'),
  }),
  resources: object('Of an operator pod. Its heap is limited to 256 MiB by the image (NODE_OPTIONS, see `env`).', {
    requests: { cpu: '50m', memory: '96Mi' },
    limits: { memory: '384Mi' },
  }),
  podDisruptionBudget: group('For node drains.', {
    enabled: flag('Keep one operator pod while others are evicted; only made with two or more replicas.', true),
  }),
  networkPolicy: group('Who may connect.', {
    operator: flag('Admit only scrapes and probes to the operator.', false),
    consumers: flag('Let the operator create such a policy for the consumers of each pipeline.', false),
    redisNetworks: value(
      'Networks of Redis that consumers may reach, beside the namespaces of Services that pipelines name. Needs `consumers`. Not set: any address, on Redis’ ports.',
      null,
      { type: ['array', 'null'], items: { type: 'string', pattern: '^[0-9a-f.:]+/[0-9]{1,3}$' }, uniqueItems: true },
    ),
    metricsFrom: list(
      'Peers of a NetworkPolicy that may read the operator’s /metrics, which name the pipelines of all teams. Needs `operator`. Empty: all.',
      { type: 'object' },
    ),
  }),
  tenancy: group(
    'Limits on pipelines, for authors with fewer rights than the operator (docs/tenancy.md). The operator and the API server refuse pipelines beyond them.',
    {
      admission: flag(
        'Create a ValidatingAdmissionPolicy of the limits below, once one of them is set. It is an object of the whole cluster.',
        true,
      ),
      ...Object.fromEntries(listLimits.map((limit) => [limit.value, limitList(limit)])),
      restrictedPods: flag('Refuse pods that violate the pod security standard `restricted`.', false),
      localRedis: value('Redis at the operator’s own host or link, or at a metadata service of a cloud.', 'refuse', {
        enum: ['allow', 'refuse'],
      }),
      secretLabel: text('Label, `KEY` or `KEY=VALUE`, that each Secret a pipeline names must carry; empty: none.', '', {
        pattern: '^[A-Za-z0-9./_-]*(=[A-Za-z0-9._-]*)?$',
      }),
      manyTeams: flag('Keep details of peers that are not Redis out of status. The operator’s log has them.', false),
    },
  ),
  metrics: group('Prometheus.', {
    enabled: flag('Make a Service for the operator’s /metrics, port 8080.', true),
    serviceMonitor: group('Scrapes the operator; needs the Prometheus Operator.', {
      enabled: flag('Make it.', false),
      interval: text('Between two scrapes.', '30s', duration),
      labels: strings('What your Prometheus selects by.'),
    }),
    consumerPodMonitors: flag(
      'Have the operator make a PodMonitor for each pipeline’s consumers. Turned off again, those that are there stay until their pipeline goes.',
      false,
    ),
  }),
  alerts: group('A PrometheusRule with alerts; each has a runbook page.', {
    enabled: flag('Make it; needs the Prometheus Operator.', false),
    labels: strings('What your Prometheus selects by.'),
    oldestAgeSeconds: value('Age of the oldest waiting entry that is worth an alert when it lasts ten minutes.', 300, {
      type: 'integer',
      minimum: 1,
    }),
    runbooks: text('Address of the folder with the runbook pages; each alert’s link is this and its own name.', 'docs/runbooks', {
      pattern: '^\\S+$',
    }),
  }),
  dashboards: group('A ConfigMap with a Grafana dashboard.', {
    enabled: flag('Make it.', false),
    labels: strings('What Grafana’s sidecar selects by.', { grafana_dashboard: '1' }),
  }),
  podLabels: strings('More labels of operator pods.'),
  podAnnotations: strings('More annotations of operator pods.'),
  nodeSelector: strings('Of operator pods.'),
  tolerations: list('Of operator pods.', { type: 'object' }),
  affinity: object('Of operator pods. Empty: spread over nodes where that is possible.'),
  priorityClassName: text('Of operator pods.'),
  env: list('More environment of the operator, such as NODE_OPTIONS or NODE_EXTRA_CA_CERTS.', {
    type: 'object',
    required: ['name'],
  }),
}
