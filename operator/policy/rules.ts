/**
 * The limits as CEL, the one source of both judges. The API server judges a pipeline when it is written, in the chart's
 * ValidatingAdmissionPolicy. The operator judges it when it reads it (verdict.ts): the policy may not be installed, and a pipeline may be
 * older than the policy.
 *
 * `object` is the pipeline. `variables` are the limits' own lists and the parts of the pipeline that several rules use. An expression
 * that fails, for example at a field of another type, refuses in both places.
 */
import { localNetworks } from '../../redis/connect/reach.ts'
import type { LimitName } from '../limits.ts'
import { signingSecretName } from '../plan/names.ts'

type Switch = LimitName | 'restrictedPods' | 'localRedis' | 'signingSecret'

export interface PolicyRule {
  /** The limit that the rule enforces; without that limit the rule is not run. */
  readonly limit: Switch
  /** The field of the pipeline that breaks the rule. */
  readonly field: string
  /** CEL that is true for an allowed pipeline. */
  readonly expression: string
  /** The allowed values, as the end of a sentence about the field. */
  readonly detail: string
  /** The list whose items follow the detail. */
  readonly list?: LimitName
}

export interface Variable {
  readonly name: string
  readonly expression: string
}

/** A CEL literal of a list of strings. */
const listLiteral = (items: readonly string[]): string => `[${items.map((item) => JSON.stringify(item)).join(', ')}]`

const part = (name: string, empty: '[]' | '{}' | "''", holder = 'variables.consumer'): Variable => ({
  name,
  expression: `has(${holder}.${name}) ? dyn(${holder}.${name}) : dyn(${empty})`,
})

const endpointsOf = (redis: string) =>
  [
    `(has(${redis}.url) ? [${redis}.url.substring(${redis}.url.indexOf('://') + 3).split('/')[0]] : [])`,
    `(has(${redis}.sentinel) ? ${redis}.sentinel.nodes : [])`,
    `(has(${redis}.cluster) ? ${redis}.cluster.nodes : [])`,
  ].join(' + ')

/** Variables for parts of the pipeline. Each may use those before it. */
export const partVariables: readonly Variable[] = [
  { name: 'spec', expression: 'dyn(object.spec)' },
  { name: 'consumer', expression: 'has(object.spec.consumer) ? dyn(object.spec.consumer) : dyn({})' },
  part('image', "''"),
  part('serviceAccountName', "''"),
  part('priorityClassName', "''"),
  part('volumes', '[]'),
  part('env', '[]'),
  part('envFrom', '[]'),
  part('imagePullSecrets', '[]'),
  part('tolerations', '[]'),
  part('annotations', '{}'),
  part('securityContext', '{}'),
  { name: 'redis', expression: 'dyn(object.spec.redis)' },
  {
    name: 'queueRedis',
    expression: 'has(object.spec.sink.bullmq.redis) ? dyn(object.spec.sink.bullmq.redis) : dyn({})',
  },
  { name: 'endpoints', expression: `${endpointsOf('variables.redis')} + ${endpointsOf('variables.queueRedis')}` },
  {
    // As the operator looks hosts up: without a port, in lower case, a bare name in the pipeline's namespace.
    name: 'hosts',
    expression: [
      "variables.endpoints.map(e, e.startsWith('[') ? e.substring(1).split(']')[0] : e.split(':')[0])",
      ".map(h, h.lowerAscii()).map(h, h.endsWith('.') ? h.substring(0, size(h) - 1) : h)",
      ".map(h, h.contains('.') || h.contains(':') || h == 'localhost' ? h : h + '.' + object.metadata.namespace + '.svc')",
    ].join(''),
  },
]

const everyVolumeKey = (condition: string) => `variables.volumes.all(v, v.all(k, k == 'name' || ${condition}))`
const sourcesOf = (condition: string) =>
  `variables.volumes.all(v, !has(v.projected) || !has(v.projected.sources) || v.projected.sources.all(s, ${condition}))`

/** Compares whole path components: `/` follows an allowed folder, and a tag or a digest follows an allowed image. */
const imageAllowed = (image: string) =>
  `(${image}.matches('^[A-Za-z0-9][A-Za-z0-9._:/@-]*$') && !${image}.contains('..') && !${image}.contains('//') && variables.images.exists(p, ` +
  `${image} == p || ${image}.startsWith(p + '/') || ((${image}.startsWith(p + ':') || ${image}.startsWith(p + '@')) && !${image}.substring(size(p)).contains('/'))))`

const isLiteral = 'isIP(h)'
const withinNetworks = 'variables.redisNetworks.exists(n, cidr(n).containsIP(h))'
/** An IPv6 address in a form that only some parsers accept: it has a colon, and CEL does not read it as an address. */
const oddAddress = "(h.contains(':') && !isIP(h))"
const matchesPattern =
  "variables.redisHosts.exists(p, p.startsWith('*.') ? (h.endsWith(p.substring(1)) && size(h) >= size(p)) : h == p)"

const safeSysctls = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_syncookies',
]
const restrictedVolumes = [
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected', 'secret'],
]
const s = 'variables.securityContext'
const unless = (field: string, condition: string) => `(!has(${s}.${field}) || ${condition})`
const profile = (field: string) =>
  unless(field, `(has(${s}.${field}.type) && ${s}.${field}.type in ['RuntimeDefault', 'Localhost'])`)
const restricted = [
  unless('runAsNonRoot', `${s}.runAsNonRoot == true`),
  unless('runAsUser', `!(${s}.runAsUser == 0)`),
  profile('seccompProfile'),
  profile('appArmorProfile'),
  unless(
    'seLinuxOptions',
    `${s}.seLinuxOptions.all(k, (k == 'type' && ${s}.seLinuxOptions.type in ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']) || k == 'level')`,
  ),
  unless('sysctls', `${s}.sysctls.all(x, x.name in ${listLiteral(safeSysctls)})`),
  unless('windowsOptions', `(!has(${s}.windowsOptions.hostProcess) || !(${s}.windowsOptions.hostProcess == true))`),
].join(' && ')

const isSigning = (name: string) => `${name} == '${signingSecretName}'`
const referenceNames = ['usernameFrom', 'passwordFrom', 'urlFrom']
const namesSigning = (holder: string, field: string) =>
  `(has(${holder}.${field}) && has(${holder}.${field}.secretKeyRef) && ${isSigning(`${holder}.${field}.secretKeyRef.name`)})`
const redisNamesSigning = (redis: string) => [
  ...referenceNames.map((field) => namesSigning(redis, field)),
  ...['usernameFrom', 'passwordFrom'].map((field) => `(has(${redis}.sentinel) && ${namesSigning(`${redis}.sentinel`, field)})`),
  ...['caFrom', 'certFrom', 'keyFrom'].map((field) => `(has(${redis}.tls) && ${namesSigning(`${redis}.tls`, field)})`),
]
/** The fields of other volumes that give a Secret to a driver or to the kubelet. */
const secretRefs = [
  'azureFile.secretName',
  'cephfs.secretRef.name',
  'csi.nodePublishSecretRef.name',
  'flexVolume.secretRef.name',
  'iscsi.secretRef.name',
  'rbd.secretRef.name',
  'scaleIO.secretRef.name',
  'storageos.secretRef.name',
]

/** `has(v.csi) && has(v.csi.nodePublishSecretRef) && has(v.csi.nodePublishSecretRef.name)` */
const hasPath = (holder: string, path: string): string =>
  path
    .split('.')
    .map((_, at, parts) => `has(${[holder, ...parts.slice(0, at + 1)].join('.')})`)
    .join(' && ')

const signingNamed = [
  ...redisNamesSigning('variables.redis'),
  ...redisNamesSigning('variables.queueRedis'),
  `variables.env.exists(e, has(e.valueFrom) && has(e.valueFrom.secretKeyRef) && ${isSigning('e.valueFrom.secretKeyRef.name')})`,
  `variables.envFrom.exists(e, has(e.secretRef) && ${isSigning('e.secretRef.name')})`,
  `variables.imagePullSecrets.exists(e, ${isSigning('e.name')})`,
  `variables.volumes.exists(v, has(v.secret) && has(v.secret.secretName) && ${isSigning('v.secret.secretName')})`,
  `variables.volumes.exists(v, has(v.projected) && has(v.projected.sources) && v.projected.sources.exists(x, has(x.secret) && has(x.secret.name) && ${isSigning('x.secret.name')}))`,
  `variables.volumes.exists(v, ${secretRefs.map((path) => `(${hasPath('v', path)} && ${isSigning(`v.${path}`)})`).join(' || ')})`,
]

export const policyRules: readonly PolicyRule[] = [
  {
    limit: 'images',
    field: 'spec.consumer.image',
    expression: `variables.image == '' || ${imageAllowed('variables.image')}`,
    detail: 'leave it out, or name an image from',
    list: 'images',
  },
  {
    limit: 'images',
    field: 'spec.consumer.volumes',
    expression: `variables.volumes.all(v, !has(v.image) || (has(v.image.reference) && ${imageAllowed('v.image.reference')}))`,
    detail: 'a volume may hold an image from',
    list: 'images',
  },
  {
    limit: 'volumes',
    field: 'spec.consumer.volumes',
    expression: `${everyVolumeKey('k in variables.allowedVolumes')} && variables.volumes.all(v, size(v) > 1 || 'emptyDir' in variables.allowedVolumes) && ${sourcesOf('s.all(k, k in variables.allowedVolumes)')}`,
    detail: 'volumes and sources of projected ones may be of the types',
    list: 'volumes',
  },
  {
    limit: 'envSources',
    field: 'spec.consumer.env',
    expression: 'variables.env.all(e, !has(e.valueFrom) || e.valueFrom.all(k, k in variables.envSources))',
    detail: 'values may come from',
    list: 'envSources',
  },
  {
    limit: 'envSources',
    field: 'spec.consumer.envFrom',
    expression: "variables.envFrom.all(e, e.all(k, k == 'prefix' || k in variables.envSources))",
    detail: 'values may come from',
    list: 'envSources',
  },
  {
    limit: 'serviceAccounts',
    field: 'spec.consumer.serviceAccountName',
    expression: "variables.serviceAccountName == '' || variables.serviceAccountName in variables.serviceAccounts",
    detail: "leave it out for the operator's own, or name one of",
    list: 'serviceAccounts',
  },
  {
    limit: 'priorityClasses',
    field: 'spec.consumer.priorityClassName',
    expression: "variables.priorityClassName == '' || variables.priorityClassName in variables.priorityClasses",
    detail: 'leave it out, or name one of',
    list: 'priorityClasses',
  },
  {
    limit: 'tolerations',
    field: 'spec.consumer.tolerations',
    expression: 'variables.tolerations.all(t, has(t.key) && t.key in variables.allowedTolerations)',
    detail: 'each needs a key, one of',
    list: 'tolerations',
  },
  {
    limit: 'restrictedPods',
    field: 'spec.consumer.securityContext',
    expression: restricted,
    detail: 'the pod security standard restricted does not allow it',
  },
  {
    limit: 'restrictedPods',
    field: 'spec.consumer.volumes',
    expression: everyVolumeKey(`k in ${listLiteral(restrictedVolumes)}`),
    detail: `the pod security standard restricted allows the types ${restrictedVolumes.join(', ')}`,
  },
  {
    limit: 'restrictedPods',
    field: 'spec.consumer.annotations',
    expression: "!variables.annotations.exists(k, k.startsWith('container.apparmor.security.beta.kubernetes.io/'))",
    detail: 'name an AppArmor profile in securityContext.appArmorProfile instead',
  },
  {
    limit: 'redisHosts',
    field: 'spec.redis and spec.sink.bullmq.redis',
    expression: `variables.hosts.all(h, (variables.networksLimited && (${isLiteral} || h.contains(':'))) || ${matchesPattern})`,
    detail: 'a host may be',
    list: 'redisHosts',
  },
  {
    limit: 'redisNetworks',
    field: 'spec.redis and spec.sink.bullmq.redis',
    expression: `variables.hosts.all(h, !${oddAddress} && (!${isLiteral} || ${withinNetworks}))`,
    detail: 'an address may lie in',
    list: 'redisNetworks',
  },
  {
    limit: 'localRedis',
    field: 'spec.redis and spec.sink.bullmq.redis',
    expression: `variables.hosts.all(h, h != 'localhost' && !h.endsWith('.localhost') && !${oddAddress} && (!${isLiteral} || !${listLiteral(localNetworks)}.exists(n, cidr(n).containsIP(h))))`,
    detail: 'a host may not be a loopback or link-local address of the operator, or a metadata service',
  },
  {
    limit: 'signingSecret',
    field: 'spec',
    expression: `object.metadata.namespace != variables.operatorNamespace || !(${signingNamed.join(' || ')})`,
    detail: `the Secret ${signingSecretName} is the operator's own`,
  },
]

/**
 * The variables of lists in rules. Where the limit's name is already the variable of a part of the pipeline, the list has another
 * name.
 */
export const listVariable: Readonly<Record<LimitName, string>> = {
  images: 'images',
  volumes: 'allowedVolumes',
  envSources: 'envSources',
  serviceAccounts: 'serviceAccounts',
  priorityClasses: 'priorityClasses',
  tolerations: 'allowedTolerations',
  redisHosts: 'redisHosts',
  redisNetworks: 'redisNetworks',
}

/** The message of both judges, followed by the items of the list. */
export const sentenceOf = ({ field, detail }: PolicyRule): string => `the operator's limits refuse ${field}: ${detail}`
