/** The one table of the chart's values. values.yaml, values.schema.json and the chart's README are generated from it. */
import { type ListLimit, listLimits } from '../../operator/limits.ts'
import { alertThresholds, alertWindows } from './alertsettings.ts'

interface Value {
  readonly description: string
  readonly default: unknown
  /** JSON Schema of it, without description and default. */
  readonly schema: object
}

export interface ValueGroup {
  readonly description: string
  /** Other names are accepted, too. */
  readonly open?: true
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
  value(`${help}. Not set: everything is allowed.`, null, {
    type: ['array', 'null'],
    items: { type: 'string', pattern: form },
    uniqueItems: true,
  })

const registry = { pattern: '^[^/\\s]*$' }

const image = (what: string, repository: string) =>
  group(`Image of ${what}.`, {
    registry: text(
      'Registry of the image. With `localhost`, nodes use only images that were loaded onto them. Empty: the cluster’s default registry.',
      'localhost',
      registry,
    ),
    repository: text('Name of the image, without registry and tag.', repository, {
      minLength: 1,
      pattern: '^[a-z0-9][a-z0-9._/-]*$',
    }),
    tag: text('Tag; empty: the chart’s appVersion.', '', { pattern: '^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$' }),
    digest: text('Digest, `sha256:…`. It takes precedence over the tag.', '', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
  })

const namespace = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' }
const name = { pattern: '^([a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?)?$' }
const duration = { pattern: '^[0-9]+(ms|s|m)$' }
const optionalDuration = { pattern: '^([0-9]+(ms|s|m))?$' }
const pullSecret = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: { name: { type: 'string', minLength: 1 } },
}
const objects = { type: 'object' }
const amount = (description: string, initial: number | null) =>
  value(description, initial, { type: ['integer', 'string', 'null'], pattern: '^[0-9]{1,3}%$', minimum: 0 })

const probeTexts: Readonly<Record<string, string>> = {
  initialDelaySeconds: 'Seconds before the first probe.',
  periodSeconds: 'Seconds from one probe to the next.',
  timeoutSeconds: 'Seconds after which a probe without an answer fails.',
  failureThreshold: 'Number of probes that must fail in a row before Kubernetes acts.',
}

const probe = (what: string, initial: Readonly<Record<string, number>>) =>
  group(`Times of the ${what} probe.`, {
    ...Object.fromEntries(
      Object.entries(probeTexts).map(([field, text]) => [
        field,
        value(text, initial[field] ?? 0, { type: 'integer', minimum: 0 }),
      ]),
    ),
  })

/** Where a monitor is made, and what it says to the Prometheus Operator. */
const monitorForm = {
  interval: text('Time between two scrapes.', '30s', duration),
  scrapeTimeout: text('Longest time of a scrape; empty: the default of Prometheus.', '', optionalDuration),
  labels: strings('Labels by which your Prometheus selects the monitor.'),
  annotations: strings('Annotations of the monitor.'),
  relabelings: list('Relabelings of the targets, before the scrape.', objects),
  metricRelabelings: list('Relabelings of the series, after the scrape.', objects),
}

const pullSecrets = (what: string) => list(what, pullSecret)

/** Defaults of `spec.consumer`, under the same names (operator/plan/consumerdefaults.ts). */
const consumerDefaults = group(
  'Defaults of `spec.consumer` for all pipelines. A field of a pipeline replaces the default. The operator merges labels, annotations, `env`, `volumes` and `volumeMounts`.',
  {
    labels: strings('Additional labels of consumer pods.'),
    annotations: strings('Additional annotations of consumer pods.'),
    commonLabels: strings('Additional labels of the objects that the operator makes, except pods. A change restarts no pod.'),
    commonAnnotations: strings(
      'Additional annotations of the objects that the operator makes, except pods. A change restarts no pod.',
    ),
    imagePullSecrets: pullSecrets(
      'Secrets with credentials for the consumers’ image. They must exist in each pipeline’s namespace.',
    ),
    resources: object('Resources of a consumer pod. Empty: requests of 100m CPU and 128Mi memory, a memory limit of 256Mi.'),
    env: list('Additional environment variables of consumers.', { type: 'object', required: ['name'] }),
    volumes: list('Additional volumes of consumer pods.', { type: 'object', required: ['name'] }),
    volumeMounts: list('Mounts of the additional volumes in consumers.', { type: 'object', required: ['name', 'mountPath'] }),
    securityContext: object(
      'Security context of consumer pods. Its fields are merged over `runAsNonRoot: true` and `seccompProfile: RuntimeDefault`.',
    ),
    nodeSelector: strings('Node selector of consumer pods.'),
    tolerations: list('Tolerations of consumer pods.', objects),
    affinity: object('Affinity of consumer pods.'),
    topologySpreadConstraints: list(
      'Spread of consumer pods. A constraint without `labelSelector` gets that of its pipeline. Empty: pods spread over nodes where possible.',
      objects,
    ),
    priorityClassName: text('Priority class of consumer pods.'),
  },
)

export const values: Readonly<Record<string, Value | ValueGroup>> = {
  global: {
    ...group('Values that a parent chart shares with all of its subcharts.', {
      imageRegistry: text('Registry that replaces those of both images; empty: no change.', '', registry),
      imagePullSecrets: pullSecrets('Secrets in addition to `imagePullSecrets`.'),
      commonLabels: strings('Labels in addition to `commonLabels`. The chart’s take precedence.'),
      priorityClassName: text('Priority class of operator pods if `priorityClassName` is empty.'),
      revisionHistoryLimit: value('Number that replaces `revisionHistoryLimit`; not set: no change.', null, {
        type: ['integer', 'null'],
        minimum: 0,
      }),
    }),
    open: true,
  },
  nameOverride: text('Name that replaces the chart’s in labels.', '', name),
  fullnameOverride: text('Name that replaces the release’s full name in names of objects.', '', name),
  image: image('the operator', 'streampipeline/operator'),
  consumerImage: image('consumers whose pipeline names none', 'streampipeline/consumer'),
  imagePullPolicy: value('Pull policy of the operator’s image.', 'IfNotPresent', { enum: ['Always', 'IfNotPresent', 'Never'] }),
  imagePullSecrets: pullSecrets(
    'Secrets with credentials for the operator’s image. Consumers use those of `consumerDefaults` and `spec.consumer`.',
  ),
  commonLabels: strings('Additional labels of every object of the chart, except pods (`podLabels`). A change restarts no pod.'),
  commonAnnotations: strings('Additional annotations of every object of the chart, except pods (`podAnnotations`).'),
  namespaces: list(
    'Namespaces whose pipelines the operator serves; empty: all. With a list, the chart creates Roles in these namespaces, and no ClusterRole.',
    namespace,
    { uniqueItems: true },
  ),
  replicas: value('Number of operator pods. One leads. The others have warm caches and take over within seconds.', 2, {
    type: 'integer',
    minimum: 1,
    maximum: 5,
  }),
  logLevel: value('Log level of the operator.', 'info', { enum: ['debug', 'info', 'warn', 'error'] }),
  decisionLog: value(
    'Scaling decisions to log in full, for `simulate --replay`: those that change the number of replicas (`changes`), `all`, or `none`. With `all`, each pipeline logs some kilobytes every five seconds.',
    'changes',
    { enum: ['none', 'changes', 'all'] },
  ),
  crds: group('The CustomResourceDefinition.', {
    enabled: flag(
      'Install and upgrade the CustomResourceDefinition. Releases in a cluster share it: set false in all but one.',
      true,
    ),
    keep: flag('Keep the CustomResourceDefinition, and every StreamPipeline, when the chart is uninstalled.', true),
  }),
  rbac: group('RBAC rules.', {
    create: flag('Create the operator’s ClusterRole (with `namespaces`: Roles) and the bindings.', true),
    userRoles: flag(
      'Extend the built-in roles view, edit and admin to StreamPipelines, by aggregated ClusterRoles. With `namespaces`, create Roles `…-view`, `…-edit` and `…-admin` in them instead. You bind these.',
      true,
    ),
  }),
  serviceAccount: group('The operator’s identity.', {
    create: flag('Create the ServiceAccount.', true),
    name: text('Name of the ServiceAccount; empty: the release’s full name, or `default` if the chart creates none.', '', name),
    labels: strings('Additional labels of the ServiceAccount.'),
    annotations: strings('Annotations of the ServiceAccount, such as those for a cloud’s workload identity.'),
    automountServiceAccountToken: flag(
      'Mount the operator’s token for the API server. Without it, `volumes` and `volumeMounts` must provide one.',
      true,
    ),
  }),
  consumerDefaults,
  resources: object('Resources of an operator pod. The image limits its heap to 256 MiB (NODE_OPTIONS, see `env`).', {
    requests: { cpu: '50m', memory: '96Mi' },
    limits: { memory: '384Mi' },
  }),
  podDisruptionBudget: group('PodDisruptionBudget of operator pods, for node drains.', {
    enabled: flag('Create the PodDisruptionBudget. The chart does so only with two or more replicas.', true),
    minAvailable: amount(
      'Operator pods that must stay, as a number or a percentage. It takes precedence over `maxUnavailable`.',
      null,
    ),
    maxUnavailable: amount('Operator pods that may be evicted at the same time.', 1),
  }),
  networkPolicy: group('NetworkPolicies.', {
    operator: flag('Create a NetworkPolicy for the operator that admits only scrapes and probes.', false),
    consumers: flag('Let the operator create a NetworkPolicy for the consumers of each pipeline.', false),
    redisNetworks: value(
      'Networks of Redis that consumers may reach, in addition to the namespaces of the Services that pipelines name. Needs `consumers`. Not set: any address, at the ports of Redis.',
      null,
      { type: ['array', 'null'], items: { type: 'string', pattern: '^[0-9a-f.:]+/[0-9]{1,3}$' }, uniqueItems: true },
    ),
    redisPorts: list(
      'Ports of the pods of Redis, in addition to the ports in the pipelines’ URLs. A NetworkPolicy matches the ports of pods, and a Service may have other ports. Needs `consumers`.',
      { type: 'integer', minimum: 1, maximum: 65535 },
      { uniqueItems: true },
    ),
    operatorEgress: value(
      'Egress rules of the operator’s NetworkPolicy. They must allow the API server, DNS, and Redis at the ports of its pods. `[{}]` allows all egress, for a namespace that denies by default. Needs `operator`. Not set: the policy does not limit egress.',
      null,
      { type: ['array', 'null'], items: { type: 'object' } },
    ),
    metricsFrom: list(
      'Peers, in the form of a NetworkPolicy, that may read the operator’s /metrics. These metrics name the pipelines of all teams. Needs `operator`. Empty: all peers.',
      { type: 'object' },
    ),
  }),
  tenancy: group(
    'Limits on pipelines whose authors have fewer rights than the operator (docs/tenancy.md). The operator and the API server refuse pipelines beyond these limits.',
    {
      admission: flag(
        'Create a ValidatingAdmissionPolicy from the limits below, if at least one is set. The policy is an object of the whole cluster.',
        true,
      ),
      ...Object.fromEntries(listLimits.map((limit) => [limit.value, limitList(limit)])),
      restrictedPods: flag('Refuse pods that violate the pod security standard `restricted`.', false),
      localRedis: value(
        'Whether Redis may be at a loopback or link-local address of the operator, or at a cloud’s metadata service: `allow` or `refuse`.',
        'refuse',
        {
          enum: ['allow', 'refuse'],
        },
      ),
      secretLabel: text('Label (`KEY` or `KEY=VALUE`) that a Secret must have before a pipeline may name it; empty: none.', '', {
        pattern: '^[A-Za-z0-9./_-]*(=[A-Za-z0-9._-]*)?$',
      }),
      manyTeams: flag(
        'If a server does not answer as Redis does, keep the details out of the status. The operator logs them.',
        false,
      ),
    },
  ),
  metrics: group('Metrics for Prometheus.', {
    enabled: flag('Create a Service for the operator’s /metrics, port 8080.', true),
    service: group('The Service for /metrics.', {
      labels: strings('Additional labels of the Service for /metrics.'),
      annotations: strings('Annotations of the Service for /metrics.'),
      ipFamilyPolicy: value('`ipFamilyPolicy` of this Service, for dual-stack clusters; empty: the cluster’s default.', '', {
        enum: ['', 'SingleStack', 'PreferDualStack', 'RequireDualStack'],
      }),
      ipFamilies: list(
        'Address families of this Service, in order of preference.',
        { enum: ['IPv4', 'IPv6'] },
        { uniqueItems: true },
      ),
    }),
    serviceMonitor: group('A ServiceMonitor of the operator; needs the Prometheus Operator.', {
      enabled: flag('Create the ServiceMonitor.', false),
      namespace: text('Namespace of the ServiceMonitor; empty: that of the release.', '', name),
      ...monitorForm,
    }),
    consumerPodMonitors: flag(
      'Let the operator create a PodMonitor for each pipeline’s consumers. If you turn it off, existing PodMonitors stay until their pipeline is deleted.',
      false,
    ),
    podMonitor: group('Form of the PodMonitors that the operator creates.', {
      ...monitorForm,
      interval: text('Time between two scrapes; empty: the default of Prometheus.', '', optionalDuration),
    }),
  }),
  alerts: group('A PrometheusRule with alerts; each has a runbook page.', {
    enabled: flag('Create the PrometheusRule; needs the Prometheus Operator.', false),
    namespace: text('Namespace of the PrometheusRule; empty: that of the release.', '', name),
    labels: strings('Labels by which your Prometheus selects the PrometheusRule.'),
    annotations: strings('Annotations of the PrometheusRule.'),
    windows: group(
      'Windows of rates, and waiting times before an alert, as durations of Prometheus.',
      Object.fromEntries(
        Object.entries(alertWindows).map(([key, { default: initial, description }]) => [
          key,
          text(description, initial, { pattern: '^[0-9]+(s|m|h|d)$' }),
        ]),
      ),
    ),
    thresholds: group(
      'Thresholds of the alerts.',
      Object.fromEntries(
        Object.entries(alertThresholds).map(([key, { default: initial, description }]) => [
          key,
          value(description, initial, { type: 'number', minimum: 0 }),
        ]),
      ),
    ),
    runbooks: text(
      'Address of the folder with the runbook pages. The link of an alert is this address plus the alert’s name.',
      'docs/runbooks',
      {
        pattern: '^\\S+$',
      },
    ),
  }),
  dashboards: group('A ConfigMap with a Grafana dashboard.', {
    enabled: flag('Create the ConfigMap with the dashboard.', false),
    namespace: text('Namespace of the ConfigMap; empty: that of the release.', '', name),
    labels: strings('Labels by which Grafana’s sidecar selects the ConfigMap.', { grafana_dashboard: '1' }),
    annotations: strings('Annotations of the ConfigMap, such as the folder into which the sidecar puts the dashboard.'),
  }),
  revisionHistoryLimit: value('Number of old ReplicaSets that the operator’s Deployment keeps.', 3, {
    type: 'integer',
    minimum: 0,
  }),
  strategy: object('Strategy of the operator’s Deployment. Empty: a new pod is ready before an old one ends.'),
  deploymentAnnotations: strings('Annotations of the operator’s Deployment.'),
  podLabels: strings('Additional labels of operator pods.'),
  podAnnotations: strings('Additional annotations of operator pods.'),
  podSecurityContext: object(
    'Security context of operator pods. It sets no `runAsUser`: the image’s user is 65532, and OpenShift assigns another one.',
    {
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    },
  ),
  containerSecurityContext: object('Security context of the container in operator pods.', {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  }),
  startupProbe: probe('startup', { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 60 }),
  livenessProbe: probe('liveness', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 }),
  readinessProbe: probe('readiness', { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 3 }),
  nodeSelector: strings('Node selector of operator pods.'),
  tolerations: list('Tolerations of operator pods.', objects),
  affinity: object('Affinity of operator pods.'),
  topologySpreadConstraints: list('Spread of operator pods. Empty: pods spread over nodes where possible.', objects),
  priorityClassName: text('Priority class of operator pods.'),
  podDnsPolicy: value('DNS policy of operator pods; empty: the cluster’s default.', '', {
    enum: ['', 'ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'],
  }),
  podDnsConfig: object('DNS configuration of operator pods.'),
  hostAliases: list('Host aliases of operator pods.', objects),
  env: list('Additional environment variables of the operator, such as NODE_OPTIONS or NODE_EXTRA_CA_CERTS.', {
    type: 'object',
    required: ['name'],
  }),
  extraArgs: list('Additional arguments of `streampipeline operator`.', { type: 'string', pattern: '^--' }),
  volumes: list('Additional volumes of operator pods, such as one with a CA.', { type: 'object', required: ['name'] }),
  volumeMounts: list('Mounts of the additional volumes in the operator.', { type: 'object', required: ['name', 'mountPath'] }),
  tests: group('The pod of `helm test`.', {
    resources: object('Resources of the pod of `helm test`.', {
      requests: { cpu: '10m', memory: '64Mi' },
      limits: { memory: '192Mi' },
    }),
  }),
  extraObjects: list('Additional objects of the release, each as an object or a text. Helm renders templates in them.', {
    type: ['object', 'string'],
  }),
}
