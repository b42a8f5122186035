/**
 * Objects that a user can get who may only write StreamPipelines. Each row is one thing, the limit that refuses it, and, if the
 * pod shows it, its place in the Deployment when no limit is set.
 */
import type { LimitName } from '../../../operator/limits.ts'

type Json = Record<string, unknown>

export interface Row {
  readonly name: string
  readonly spec: Json
  readonly limit: LimitName | 'restrictedPods' | 'localRedis'
  /** The field that both judges name. */
  readonly field: string
  /** Without limits: a path in the Deployment's pod spec, and its value. */
  readonly made?: readonly [path: string, value: unknown]
}

const consumer = (fields: Json): Json => ({ consumer: fields })
const redis = (url: string): Json => ({ redis: { url } })
const image = (text: string): Json => consumer({ image: text })
const volume = (type: Json): Json => consumer({ volumes: [{ name: 'v', ...type }] })
const where = 'spec.redis and spec.sink.bullmq.redis'
const pod = 'spec.consumer'

/** As they are in the chart's values. */
export const limits = {
  images: ['ghcr.io/acme', 'registry.example.com:5000/team/app', 'docker.io/library/node:24'],
  volumes: ['configMap', 'emptyDir', 'projected', 'downwardAPI', 'persistentVolumeClaim', 'csi', 'image'],
  envSources: ['configMapKeyRef', 'fieldRef', 'configMapRef'],
  serviceAccounts: ['puller'],
  priorityClasses: ['low'],
  tolerations: ['team.example/batch'],
  redisHosts: ['redis.example.com', '*.{namespace}.svc'],
  redisNetworks: ['10.0.0.0/8', 'fd12::/16'],
  restrictedPods: true,
  localRedis: 'refuse',
} as const

export const refused: readonly Row[] = [
  ...[
    'evil/image',
    'ghcr.io/acme-evil/app',
    'ghcr.io/acmeevil',
    'ghcr.io/acme/../evil/app',
    'ghcr.io/acme//app',
    'ghcr.io',
    'ghcr.io/evil/ghcr.io/acme',
    'GHCR.IO/acme/app',
    'ghcr.io/acme:5000/evil',
    'ghcr.io/acme@evil.example/app',
    ' ghcr.io/acme/app',
    'registry.example.com/team/app',
    'registry.example.com:5000/team/app-evil',
    'docker.io/library/node:24-evil',
    'node:24',
  ].map((text, index) => ({
    name: `image-${index}`,
    spec: image(text),
    limit: 'images' as const,
    field: `${pod}.image`,
    made: ['containers.0.image', text] as const,
  })),
  {
    name: 'image-volume',
    spec: volume({ image: { reference: 'evil/image' } }),
    limit: 'images',
    field: `${pod}.volumes`,
  },
  {
    name: 'host-path',
    spec: consumer({
      volumes: [{ name: 'v', hostPath: { path: '/' } }],
      volumeMounts: [{ name: 'v', mountPath: '/host' }],
    }),
    limit: 'volumes',
    field: `${pod}.volumes`,
    made: ['volumes.1.hostPath.path', '/'],
  },
  {
    name: 'projected-token',
    spec: volume({ projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }),
    limit: 'volumes',
    field: `${pod}.volumes`,
    made: ['volumes.1.projected.sources.0.serviceAccountToken.path', 'token'],
  },
  {
    name: 'secret-volume',
    spec: volume({ secret: { secretName: 'db' } }),
    limit: 'volumes',
    field: `${pod}.volumes`,
    made: ['volumes.1.secret.secretName', 'db'],
  },
  {
    name: 'projected-secret',
    spec: volume({ projected: { sources: [{ secret: { name: 'db' } }] } }),
    limit: 'volumes',
    field: `${pod}.volumes`,
    made: ['volumes.1.projected.sources.0.secret.name', 'db'],
  },
  { name: 'nfs', spec: volume({ nfs: { server: '10.0.0.1', path: '/' } }), limit: 'volumes', field: `${pod}.volumes` },
  {
    name: 'second-volume',
    spec: consumer({
      volumes: [
        { name: 'a', emptyDir: {} },
        { name: 'b', hostPath: { path: '/' } },
      ],
    }),
    limit: 'volumes',
    field: `${pod}.volumes`,
  },
  {
    name: 'env-secret',
    spec: consumer({ env: [{ name: 'DB', valueFrom: { secretKeyRef: { name: 'db', key: 'password' } } }] }),
    limit: 'envSources',
    field: `${pod}.env`,
    made: ['containers.0.env.2.valueFrom.secretKeyRef.name', 'db'],
  },
  {
    name: 'env-from-secret',
    spec: consumer({ envFrom: [{ prefix: 'X_', secretRef: { name: 'db' } }] }),
    limit: 'envSources',
    field: `${pod}.envFrom`,
    made: ['containers.0.envFrom.0.secretRef.name', 'db'],
  },
  {
    name: 'service-account',
    spec: consumer({ serviceAccountName: 'ci-admin' }),
    limit: 'serviceAccounts',
    field: `${pod}.serviceAccountName`,
    made: ['serviceAccountName', 'ci-admin'],
  },
  {
    name: 'priority-class',
    spec: consumer({ priorityClassName: 'system-cluster-critical' }),
    limit: 'priorityClasses',
    field: `${pod}.priorityClassName`,
    made: ['priorityClassName', 'system-cluster-critical'],
  },
  {
    name: 'every-taint',
    spec: consumer({ tolerations: [{ operator: 'Exists' }] }),
    limit: 'tolerations',
    field: `${pod}.tolerations`,
    made: ['tolerations.0.operator', 'Exists'],
  },
  {
    name: 'control-plane',
    spec: consumer({ tolerations: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }] }),
    limit: 'tolerations',
    field: `${pod}.tolerations`,
    made: ['tolerations.0.key', 'node-role.kubernetes.io/control-plane'],
  },
  ...[
    { runAsUser: 0 },
    { runAsNonRoot: false },
    { seccompProfile: { type: 'Unconfined' } },
    { appArmorProfile: { type: 'Unconfined' } },
    { seLinuxOptions: { type: 'spc_t' } },
    { seLinuxOptions: { user: 'root' } },
    { sysctls: [{ name: 'kernel.msgmax', value: '65536' }] },
    { windowsOptions: { hostProcess: true } },
  ].map((securityContext, index) => ({
    name: `security-${index}`,
    spec: consumer({ securityContext }),
    limit: 'restrictedPods' as const,
    field: `${pod}.securityContext`,
    ...(index < 3
      ? { made: [`securityContext.${Object.keys(securityContext)[0]}`, Object.values(securityContext)[0]] as const }
      : {}),
  })),
  {
    name: 'app-armor',
    spec: consumer({ annotations: { 'container.apparmor.security.beta.kubernetes.io/consumer': 'unconfined' } }),
    limit: 'restrictedPods',
    field: `${pod}.annotations`,
  },
  ...[
    'redis://redis.evil.example:6379',
    'redis://redis.example.com.evil:6379',
    'redis://evil-redis.example.com',
    'redis://redis.other.svc:6379',
    'redis://svc',
  ].map((url, index) => ({
    name: `redis-host-${index}`,
    spec: redis(url.replace('//svc', '//redis.default.svc.cluster.local')),
    limit: 'redisHosts' as const,
    field: where,
  })),
  ...['redis://11.0.0.1:6379', 'redis://[fd13::1]:6379', 'redis://[::ffff:10.0.0.1]:6379'].map((url, index) => ({
    name: `redis-network-${index}`,
    spec: redis(url),
    limit: 'redisNetworks' as const,
    field: where,
  })),
  {
    name: 'sentinel-host',
    spec: { redis: { sentinel: { master: 'm', nodes: ['redis:26379', 'sentinel.evil.example:26379'] } } },
    limit: 'redisHosts',
    field: where,
  },
  {
    name: 'cluster-host',
    spec: { redis: { cluster: { nodes: ['redis.evil.example:6379'] } } },
    limit: 'redisHosts',
    field: where,
  },
  {
    name: 'queue-host',
    spec: { ...redis('redis://redis:6379'), sink: { bullmq: { queue: 'q', redis: { url: 'redis://queue.evil.example:6379' } } } },
    limit: 'redisHosts',
    field: where,
  },
]

/** Hosts that `localRedis` alone refuses: the limits `redisHosts` and `redisNetworks` are off. */
export const refusedLocally: readonly string[] = [
  ...[
    '127.0.0.1',
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    '[::1]',
    '[::]',
    '0.0.0.0',
    '169.254.169.254',
    '[fe80::1]',
    '[::ffff:127.0.0.1]',
  ],
  ...['[::ffff:7f00:1]', '127.9.9.9', '100.100.100.200', '[fd00:ec2::254]'],
]

export const allowed: readonly Pick<Row, 'name' | 'spec'>[] = [
  { name: 'nothing-said', spec: {} },
  ...[
    '',
    'ghcr.io/acme/app',
    'ghcr.io/acme/a/b:v1.2_X',
    'ghcr.io/acme',
    'ghcr.io/acme:1',
    `ghcr.io/acme/app@sha256:${'0'.repeat(64)}`,
    'registry.example.com:5000/team/app:1',
    'docker.io/library/node:24',
    `docker.io/library/node:24@sha256:${'0'.repeat(64)}`,
  ].map((text, index) => ({ name: `ok-image-${index}`, spec: image(text) })),
  {
    name: 'ok-volumes',
    spec: consumer({
      volumes: [
        { name: 'a', emptyDir: {} },
        { name: 'b' },
        { name: 'c', configMap: { name: 'x' } },
        { name: 'd', projected: { sources: [{ configMap: { name: 'x' } }, { downwardAPI: { items: [] } }] } },
        { name: 'e', image: { reference: 'ghcr.io/acme/data:1' } },
      ],
    }),
  },
  {
    name: 'ok-env',
    spec: consumer({
      env: [
        { name: 'A', value: 'b' },
        { name: 'B', valueFrom: { configMapKeyRef: { name: 'x', key: 'y' } } },
      ],
      envFrom: [{ prefix: 'X_', configMapRef: { name: 'x' } }],
    }),
  },
  { name: 'ok-names', spec: consumer({ serviceAccountName: 'puller', priorityClassName: 'low' }) },
  { name: 'ok-empty-names', spec: consumer({ serviceAccountName: '', priorityClassName: '' }) },
  { name: 'ok-taint', spec: consumer({ tolerations: [{ key: 'team.example/batch', operator: 'Exists' }] }) },
  {
    name: 'ok-security',
    spec: consumer({
      securityContext: {
        runAsUser: 1000,
        runAsGroup: 1000,
        fsGroup: 2000,
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    }),
  },
  ...[
    'redis://redis:6379/0',
    'redis://Redis.Example.com',
    'redis://redis.example.com.:6379',
    'redis://10.1.2.3:6379/1',
    'redis://[fd12::1]:6379',
    'rediss://REDIS',
  ].map((url, index) => ({ name: `ok-redis-${index}`, spec: redis(url) })),
]
