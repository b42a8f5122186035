/** Resources that the API server and `validate` both take. */
import { literalNull, onCluster, type Row } from './resource.ts'

const secretKeyRef = (key: string) => ({ secretKeyRef: { name: 'redis-auth', key } })
const configMapKeyRef = (key: string) => ({ configMapKeyRef: { name: 'redis-ca', key } })

export const valid: readonly Row[] = [
  { name: 'the smallest' },
  ...['a', '0', 'redis.auth-2.example', `a${'b'.repeat(252)}`].map((name) => ({
    name: `a Secret called ${name.slice(0, 20)}`,
    spec: { redis: { passwordFrom: { secretKeyRef: { name, key: 'password' } } } },
  })),
  ...['.pw', '_', '-', 'A.b_c-D', 'a..b', '__proto__', 'constructor', '.a.', 'k'.repeat(253)].map((key) => ({
    name: `a key called ${key.slice(0, 20)}`,
    spec: { redis: { passwordFrom: { secretKeyRef: { name: 'redis', key } } } },
  })),
  { name: 'names that are left empty', spec: { consumer: { serviceAccountName: '', priorityClassName: '' } } },
  {
    name: 'everything said',
    whole: { metadata: { labels: { team: 'farm' }, annotations: { 'streampipeline.dev/reconcile': 'disabled' } } },
    spec: {
      mode: 'Direct',
      suspend: true,
      replicas: 3,
      redis: {
        url: 'rediss://redis:6379/0',
        usernameFrom: secretKeyRef('username'),
        passwordFrom: secretKeyRef('password'),
        tls: {
          caFrom: configMapKeyRef('ca.crt'),
          certFrom: secretKeyRef('tls.crt'),
          keyFrom: secretKeyRef('tls.key'),
          serverName: 'redis',
        },
      },
      source: {
        startFrom: 'End',
        batchSize: 1000,
        batchBytes: '1Mi',
        block: '500ms',
        inFlightBatches: 16,
        retention: { maxEntries: 1_000_000, settledFor: '1h30m', ignoredGroups: ['audit'] },
      },
      payload: {
        schema: {
          type: 'object',
          required: ['job_id', 'request_hash'],
          properties: { job_id: { type: 'string' }, request_hash: { type: 'string' } },
        },
        idempotencyKey: ['request_hash'],
        nameFrom: 'kind',
        delayFrom: 'wait',
        priorityFrom: 'rank',
        maxBytes: '64Ki',
        maxFields: 10,
      },
      reclaim: { minIdle: '2m', interval: '10s' },
      delivery: { maxDeliveries: 3 },
      idempotency: { window: '48h', lockTTL: '1m' },
      deadLetter: { stream: 'ndvi:dead', maxEntries: 500, failedJobs: 'Leave', requestCopy: true },
      sink: {
        bullmq: {
          prefix: 'farm',
          jobName: 'ndvi',
          jobOptions: {
            attempts: 3,
            backoff: { type: 'Exponential', delay: '1s' },
            priority: 5,
            delay: '10s',
            lifo: true,
            removeOnComplete: { count: 0 },
            removeOnFail: { count: 100 },
          },
          allow: {
            names: ['ndvi', 'index-*'],
            maxDelay: '1h',
            priority: { min: 1, max: 10 },
            maxAttempts: 5,
            maxBackoff: '1m',
            lifo: true,
            removeOnComplete: true,
            removeOnFail: true,
            idempotencyKey: true,
          },
          maxWaiting: 100,
          redis: { url: 'redis://queue:6379/1' },
        },
      },
      scaling: {
        policy: 'Manual',
        minReplicas: 0,
        maxReplicas: 4,
        targetAge: '1m',
        scaleDownDelay: '0s',
        idleAfter: '5m',
        onMetricsLoss: 'Max',
      },
    },
  },
  {
    name: "every override of the consumer's pod",
    spec: {
      consumer: {
        image: 'registry.example/consumer:1',
        imagePullPolicy: 'Always',
        imagePullSecrets: [{ name: 'pull' }],
        env: [
          { name: 'A', value: '1' },
          { name: 'B', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
        ],
        envFrom: [{ configMapRef: { name: 'c', optional: true } }],
        labels: { team: 'farm' },
        annotations: { 'example.com/note': 'anything at all' },
        volumes: [{ name: 'tmp', emptyDir: { sizeLimit: '1Mi' } }],
        volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
        resources: { requests: { cpu: 1, memory: '64Mi' }, limits: { cpu: '1500m', memory: '1e9' } },
        securityContext: { runAsUser: 1000 },
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'spot', operator: 'Exists' }],
        affinity: { nodeAffinity: {} },
        topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' }],
        priorityClassName: 'high',
        serviceAccountName: 'farm',
        terminationGracePeriodSeconds: 120,
        logLevel: 'Debug',
      },
    },
  },
  { name: 'the whole url in a Secret', spec: { redis: { url: null, urlFrom: secretKeyRef('url') } } },
  {
    name: 'a url from a ConfigMap, its password from a Secret',
    spec: { redis: { url: null, urlFrom: configMapKeyRef('url'), passwordFrom: secretKeyRef('p') } },
  },
  { name: "TLS with the system's CAs", spec: { redis: { url: 'rediss://redis', tls: {} } } },
  { name: 'an IPv6 address', spec: { redis: { url: 'redis://[fd00::1]:6379/3' } } },
  {
    name: 'sentinels with a password of their own',
    spec: {
      redis: {
        url: null,
        sentinel: { master: 'mymaster', nodes: ['s1:26379', '[::1]:26379'], database: 2, passwordFrom: secretKeyRef('s') },
        tls: {},
      },
    },
  },
  { name: 'a cluster, names derived', spec: onCluster({}) },
  {
    name: "a cluster, names with the stream's tag",
    spec: onCluster({
      source: { stream: '{ndvi}:jobs' },
      deadLetter: { stream: '{ndvi}:dead' },
      sink: { bullmq: { prefix: 'farm{ndvi}' } },
    }),
  },
  {
    name: "a cluster, the stream's whole name as the tag of the others",
    spec: onCluster({ sink: { bullmq: { prefix: '{ndvi:jobs}' } } }),
  },
  {
    name: 'a cluster, the tag in the name of the queue',
    spec: onCluster({ source: { stream: '{ndvi}:jobs' }, sink: { bullmq: { prefix: 'bull', queue: '{ndvi}' } } }),
  },
  {
    name: 'a cluster, the queue elsewhere',
    spec: onCluster({ sink: { bullmq: { prefix: 'bull', redis: { url: 'redis://queue:6379' } } } }),
  },
  { name: 'the queue in a cluster', spec: { sink: { bullmq: { redis: { cluster: { nodes: ['q:6379'] } } } } } },
  { name: 'one field of JSON', spec: { payload: { encoding: 'Json', field: 'payload' } } },
  {
    name: 'fields of an envelope beside a document',
    spec: { payload: { encoding: 'Json', field: 'body', ignoreFields: ['*'], metadataFields: ['tenant', 'x-*'] } },
  },
  { name: 'an empty key that is meant', spec: { payload: { idempotencyKey: ['region'], allowEmptyKey: true } } },
  { name: 'sizes as numbers', spec: { payload: { maxBytes: 1000 }, source: { batchBytes: 67_108_864 } } },
  { name: 'sizes with decimal suffixes', spec: { payload: { maxBytes: '1M' }, source: { batchBytes: '500k' } } },
  { name: 'scaled to zero', spec: { scaling: { minReplicas: 0, onMetricsLoss: 2 } } },
  {
    name: 'more in the morning',
    spec: {
      scaling: {
        schedules: [
          { cron: '0 8 * * 1-5', timeZone: 'Europe/Lisbon', minReplicas: 5, for: '4h' },
          { cron: '*/5 0,1 1 JAN ?', maxReplicas: 3, for: '90m' },
        ],
      },
    },
  },
  { name: 'durations in any order', spec: { reclaim: { minIdle: '500ms1m' }, source: { block: '1s500ms' } } },
  {
    name: 'a window just long enough',
    spec: { reclaim: { minIdle: '60s' }, delivery: { maxDeliveries: 5 }, idempotency: { window: '5m' } },
  },
  { name: 'a window of ninety days', spec: { idempotency: { window: '2160h' } } },
  {
    name: 'nulls, which count as absent',
    spec: {
      payload: { field: literalNull, maxBytes: literalNull },
      scaling: literalNull,
      consumer: { labels: { a: literalNull } },
    },
  },
  { name: 'a name of 52 characters', whole: { metadata: { name: 'n'.repeat(52) } } },
  {
    name: 'keys on failed jobs kept for ever',
    spec: { sink: { bullmq: { jobOptions: { removeOnFail: {}, removeOnComplete: {} } } } },
  },
  { name: 'a status brought along', whole: { status: { replicas: 3 } } },
]
