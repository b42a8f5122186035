/** The one table of the chart's values. values.yaml, values.schema.json and the chart's README are generated from it. */
import { type ListLimit, listLimits } from '../../operator/policy/limits.ts'
import { alertThresholds, alertWindows } from './alertsettings.ts'

export interface Value {
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
  value(`${help}. Not set: all are allowed.`, null, {
    type: ['array', 'null'],
    items: { type: 'string', pattern: form },
    uniqueItems: true,
  })

const registry = { pattern: '^[^/\\s]*$' }

const image = (what: string, repository: string) =>
  group(`Image of ${what}.`, {
    registry: text(
      'Registry, put before the repository. `localhost` is nobody’s: it holds only images that were loaded onto the nodes. Empty: the cluster’s default.',
      'localhost',
      registry,
    ),
    repository: text('Name without tag.', repository, { minLength: 1, pattern: '^[a-z0-9][a-z0-9._/-]*$' }),
    tag: text('Empty: the chart’s appVersion.', '', { pattern: '^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$' }),
    digest: text('`sha256:…`; wins over the tag.', '', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
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

const probe = (what: string, initial: Readonly<Record<string, number>>) =>
  group(`Times of the ${what} probe.`, {
    ...Object.fromEntries(
      ['initialDelaySeconds', 'periodSeconds', 'timeoutSeconds', 'failureThreshold'].map((field) => [
        field,
        value(`The field of that name of a probe.`, initial[field] ?? 0, { type: 'integer', minimum: 0 }),
      ]),
    ),
  })

/** Where a monitor is made, and what it says to the Prometheus Operator. */
const monitorForm = {
  interval: text('Between two scrapes.', '30s', duration),
  scrapeTimeout: text('Time a scrape may take; empty: Prometheus’ own.', '', optionalDuration),
  labels: strings('What your Prometheus selects by.'),
  annotations: strings('Of the monitor.'),
  relabelings: list('Relabelings before the scrape.', objects),
  metricRelabelings: list('Relabelings of what was scraped.', objects),
}

const pullSecrets = (what: string) => list(what, pullSecret)

/** Defaults of `spec.consumer`, under the same names (operator/plan/consumerdefaults.ts). */
const consumerDefaults = group(
  'Defaults of `spec.consumer` for all pipelines. A field that a pipeline states replaces the default; labels, annotations, `env`, `volumes` and `volumeMounts` are merged.',
  {
    labels: strings('More labels of consumer pods.'),
    annotations: strings('More annotations of consumer pods.'),
    commonLabels: strings('More labels of the other objects that the operator makes. A change restarts no pod.'),
    commonAnnotations: strings('More annotations of the other objects that the operator makes. A change restarts no pod.'),
    imagePullSecrets: pullSecrets('Secrets, in the pipelines’ namespaces, with credentials for the consumers’ image.'),
    resources: object('Of a consumer pod. Empty: requests of 100m CPU and 128Mi, a memory limit of 256Mi.'),
    env: list('More environment of consumers.', { type: 'object', required: ['name'] }),
    volumes: list('More volumes of consumer pods.', { type: 'object', required: ['name'] }),
    volumeMounts: list('Where consumers mount them.', { type: 'object', required: ['name', 'mountPath'] }),
    securityContext: object('Of consumer pods, over `runAsNonRoot: true` and `seccompProfile: RuntimeDefault`.'),
    nodeSelector: strings('Of consumer pods.'),
    tolerations: list('Of consumer pods.', objects),
    affinity: object('Of consumer pods.'),
    topologySpreadConstraints: list(
      'Of consumer pods. One without `labelSelector` gets that of its pipeline. Empty: over nodes where that is possible.',
      objects,
    ),
    priorityClassName: text('Of consumer pods.'),
  },
)

export const values: Readonly<Record<string, Value | ValueGroup>> = {
  global: {
    ...group('For parent charts, which share these with their other parts.', {
      imageRegistry: text('Instead of the registry of both images; empty: those.', '', registry),
      imagePullSecrets: pullSecrets('Added to `imagePullSecrets`.'),
      commonLabels: strings('Added to `commonLabels`, which win.'),
      priorityClassName: text('Where `priorityClassName` is empty.'),
      revisionHistoryLimit: value('Instead of `revisionHistoryLimit`; not set: that.', null, {
        type: ['integer', 'null'],
        minimum: 0,
      }),
    }),
    open: true,
  },
  nameOverride: text('Instead of the chart’s name in labels.', '', name),
  fullnameOverride: text('Instead of the release’s name in names of objects.', '', name),
  image: image('the operator', 'streampipeline/operator'),
  consumerImage: image('consumers whose pipeline names none', 'streampipeline/consumer'),
  imagePullPolicy: value('Of the operator’s image.', 'IfNotPresent', { enum: ['Always', 'IfNotPresent', 'Never'] }),
  imagePullSecrets: pullSecrets(
    'Secrets with credentials for the operator’s image; consumers have theirs in `consumerDefaults` and `spec.consumer`.',
  ),
  commonLabels: strings('More labels of every object of the chart. Pods have `podLabels`, so a change restarts none.'),
  commonAnnotations: strings('More annotations of every object of the chart. Pods have `podAnnotations`.'),
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
      'Let the built-in roles view, edit and admin reach StreamPipelines (aggregated ClusterRoles). With `namespaces`: Roles `…-view`, `…-edit` and `…-admin` there, for you to bind.',
      true,
    ),
  }),
  serviceAccount: group('The operator’s identity.', {
    create: flag('Make it.', true),
    name: text('Empty: the release’s full name, or `default` where none is made.', '', name),
    labels: strings('More labels of the ServiceAccount.'),
    annotations: strings('Of the ServiceAccount, as clouds’ workload identities want them.'),
    automountServiceAccountToken: flag(
      'Mount the token by which the operator speaks to the API server. Without it, `volumes` and `volumeMounts` must bring one.',
      true,
    ),
  }),
  consumerDefaults,
  resources: object('Of an operator pod. Its heap is limited to 256 MiB by the image (NODE_OPTIONS, see `env`).', {
    requests: { cpu: '50m', memory: '96Mi' },
    limits: { memory: '384Mi' },
  }),
  podDisruptionBudget: group('For node drains.', {
    enabled: flag('Make it; only with two or more replicas.', true),
    minAvailable: amount('Pods that must stay, a number or a percentage; wins over `maxUnavailable`. Not set: that.', null),
    maxUnavailable: amount('Pods that may be evicted at once.', 1),
  }),
  networkPolicy: group('Who may connect.', {
    operator: flag('Admit only scrapes and probes to the operator.', false),
    consumers: flag('Let the operator create such a policy for the consumers of each pipeline.', false),
    redisNetworks: value(
      'Networks of Redis that consumers may reach, beside the namespaces of Services that pipelines name. Needs `consumers`. Not set: any address, on Redis’ ports.',
      null,
      { type: ['array', 'null'], items: { type: 'string', pattern: '^[0-9a-f.:]+/[0-9]{1,3}$' }, uniqueItems: true },
    ),
    redisPorts: list(
      'Ports of Redis’ pods, beside those in the pipelines’ URLs: a policy sees the pods’ ports, and a Service may have another. Needs `consumers`.',
      { type: 'integer', minimum: 1, maximum: 65535 },
      { uniqueItems: true },
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
    service: group('That Service.', {
      labels: strings('More labels.'),
      annotations: strings('Annotations.'),
      ipFamilyPolicy: value('Which address families it has, on clusters with two; empty: the cluster’s default.', '', {
        enum: ['', 'SingleStack', 'PreferDualStack', 'RequireDualStack'],
      }),
      ipFamilies: list('Its families, in order of preference.', { enum: ['IPv4', 'IPv6'] }, { uniqueItems: true }),
    }),
    serviceMonitor: group('Scrapes the operator; needs the Prometheus Operator.', {
      enabled: flag('Make it.', false),
      namespace: text('Where it is made; empty: the release’s namespace.', '', name),
      ...monitorForm,
    }),
    consumerPodMonitors: flag(
      'Have the operator make a PodMonitor for each pipeline’s consumers. Turned off again, those that are there stay until their pipeline goes.',
      false,
    ),
    podMonitor: group('Form of these PodMonitors.', {
      ...monitorForm,
      interval: text('Between two scrapes; empty: Prometheus’ own.', '', optionalDuration),
    }),
  }),
  alerts: group('A PrometheusRule with alerts; each has a runbook page.', {
    enabled: flag('Make it; needs the Prometheus Operator.', false),
    namespace: text('Where it is made; empty: the release’s namespace.', '', name),
    labels: strings('What your Prometheus selects by.'),
    annotations: strings('Of the PrometheusRule.'),
    windows: group(
      'Windows and patience, as Prometheus writes durations.',
      Object.fromEntries(
        Object.entries(alertWindows).map(([key, { default: initial, description }]) => [
          key,
          text(description, initial, { pattern: '^[0-9]+(s|m|h|d)$' }),
        ]),
      ),
    ),
    thresholds: group(
      'What is worth an alert.',
      Object.fromEntries(
        Object.entries(alertThresholds).map(([key, { default: initial, description }]) => [
          key,
          value(description, initial, { type: 'number', minimum: 0 }),
        ]),
      ),
    ),
    runbooks: text('Address of the folder with the runbook pages; each alert’s link is this and its own name.', 'docs/runbooks', {
      pattern: '^\\S+$',
    }),
  }),
  dashboards: group('A ConfigMap with a Grafana dashboard.', {
    enabled: flag('Make it.', false),
    namespace: text('Where it is made; empty: the release’s namespace.', '', name),
    labels: strings('What Grafana’s sidecar selects by.', { grafana_dashboard: '1' }),
    annotations: strings('Such as the folder that the sidecar puts it into.'),
  }),
  revisionHistoryLimit: value('ReplicaSets that the operator’s Deployment keeps.', 3, { type: 'integer', minimum: 0 }),
  strategy: object('Of the operator’s Deployment. Empty: a new pod is ready before an old one goes.'),
  deploymentAnnotations: strings('Of the operator’s Deployment.'),
  podLabels: strings('More labels of operator pods.'),
  podAnnotations: strings('More annotations of operator pods.'),
  podSecurityContext: object('Of operator pods. It names no user: the image’s is 65532, and OpenShift assigns its own.', {
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  }),
  containerSecurityContext: object('Of the container in operator pods.', {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  }),
  startupProbe: probe('startup', { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 60 }),
  livenessProbe: probe('liveness', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 }),
  readinessProbe: probe('readiness', { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 3 }),
  nodeSelector: strings('Of operator pods.'),
  tolerations: list('Of operator pods.', objects),
  affinity: object('Of operator pods.'),
  topologySpreadConstraints: list('Of operator pods. Empty: over nodes where that is possible.', objects),
  priorityClassName: text('Of operator pods.'),
  podDnsPolicy: value('Of operator pods; empty: the cluster’s default.', '', {
    enum: ['', 'ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'],
  }),
  podDnsConfig: object('Of operator pods.'),
  hostAliases: list('Of operator pods.', objects),
  env: list('More environment of the operator, such as NODE_OPTIONS or NODE_EXTRA_CA_CERTS.', {
    type: 'object',
    required: ['name'],
  }),
  extraArgs: list('More arguments of `streampipeline operator`.', { type: 'string', pattern: '^--' }),
  volumes: list('More volumes of operator pods, such as one with a CA.', { type: 'object', required: ['name'] }),
  volumeMounts: list('Where the operator mounts them.', { type: 'object', required: ['name', 'mountPath'] }),
  tests: group('The pod of `helm test`.', {
    resources: object('Of that pod.', { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '192Mi' } }),
  }),
  extraObjects: list('More objects of the release, each an object or a text; templates in them are rendered.', {
    type: ['object', 'string'],
  }),
}
