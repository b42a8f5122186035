/**
 * Resources that are refused: by the API server and by `validate`, for the same field, both naming the remedy. `validate` alone
 * refuses the rows of `invalidBeyondServer`: the API server stores them.
 */
import { onCluster, type Row } from './resource.ts'

export interface InvalidRow extends Row {
  readonly field: string
  /** A piece of the message, in both answers, whatever the case of its letters. */
  readonly says: string
  /** Must not be repeated by either. */
  readonly secret?: string
}

const secretKeyRef = { name: 'redis-auth', key: 'password' }
const configMapKeyRef = { name: 'redis-ca', key: 'ca.crt' }

const redis: readonly InvalidRow[] = [
  {
    name: 'no way to Redis',
    spec: { redis: { url: null } },
    field: 'spec.redis',
    says: 'exactly one way: url, urlFrom, sentinel or cluster',
  },
  {
    name: 'two ways to Redis',
    spec: { redis: { cluster: { nodes: ['r:6379'] } } },
    field: 'spec.redis',
    says: 'in exactly one way',
  },
  { name: 'Redis left out', spec: { redis: null }, field: 'spec.redis', says: 'required value' },
  {
    name: 'an http url',
    spec: { redis: { url: 'http://redis:6379' } },
    field: 'spec.redis.url',
    says: 'write redis://host:port/database',
  },
  {
    name: 'a url without host',
    spec: { redis: { url: 'redis://' } },
    field: 'spec.redis.url',
    says: 'write redis://host:port/database',
  },
  {
    name: 'a port that no host has',
    spec: { redis: { url: 'redis://redis:99999' } },
    field: 'spec.redis.url',
    says: 'write redis://host:port',
  },
  {
    name: 'a url with a password in it',
    spec: { redis: { url: 'redis://app:s3cret@redis:6379/0' } },
    field: 'spec.redis.url',
    says: 'put user and password in a Secret and name it in usernameFrom and passwordFrom',
    secret: 's3cret',
  },
  {
    name: 'a url with a password and no scheme',
    spec: { redis: { url: 'app:s3cret@redis:6379' } },
    field: 'spec.redis.url',
    says: 'name it in urlFrom',
    secret: 's3cret',
  },
  {
    name: 'a password in the query of a url',
    spec: { redis: { url: 'redis://redis:6379/0?password=s3cret' } },
    field: 'spec.redis.url',
    says: 'no credentials or options here',
    secret: 's3cret',
  },
  { name: 'tls on a plain url', spec: { redis: { tls: {} } }, field: 'spec.redis.tls', says: 'write rediss://, or drop tls' },
  {
    name: 'a certificate without its key',
    spec: { redis: { url: 'rediss://redis:6379', tls: { certFrom: { secretKeyRef } } } },
    field: 'spec.redis.tls',
    says: 'set certFrom and keyFrom together',
  },
  {
    name: 'a key without its certificate',
    spec: { redis: { url: 'rediss://redis:6379', tls: { keyFrom: { secretKeyRef } } } },
    field: 'spec.redis.tls',
    says: 'set certFrom and keyFrom together',
  },
  {
    name: 'a reference to two places',
    spec: { redis: { url: 'rediss://redis:6379', tls: { caFrom: { secretKeyRef, configMapKeyRef } } } },
    field: 'spec.redis.tls.caFrom',
    says: 'name exactly one place: secretKeyRef',
  },
  {
    name: 'a reference to nothing',
    spec: { redis: { usernameFrom: {} } },
    field: 'spec.redis.usernameFrom',
    says: 'name exactly one place',
  },
  {
    name: 'a password from a ConfigMap',
    spec: { redis: { passwordFrom: { secretKeyRef, configMapKeyRef } } },
    field: 'spec.redis.passwordFrom.configMapKeyRef',
    says: 'unknown field "spec.redis.passwordFrom.configMapKeyRef"',
  },
  {
    name: 'a reference without a key',
    spec: { redis: { passwordFrom: { secretKeyRef: { name: 'redis-auth' } } } },
    field: 'spec.redis.passwordFrom.secretKeyRef.key',
    says: 'required value',
  },
  {
    name: 'sentinels without the name of their master',
    spec: { redis: { url: null, sentinel: { nodes: ['s1:26379'] } } },
    field: 'spec.redis.sentinel.master',
    says: 'required value',
  },
  {
    name: 'a sentinel without a port',
    spec: { redis: { url: null, sentinel: { master: 'mymaster', nodes: ['s1:26379', 's2'] } } },
    field: 'spec.redis.sentinel.nodes[1]',
    says: 'write host:port, such as redis-0.redis:6379',
  },
  {
    name: 'a node with a password in it',
    spec: { redis: { url: null, cluster: { nodes: ['app:s3cret@r1:6379'] } } },
    field: 'spec.redis.cluster.nodes[0]',
    says: 'write host:port',
    secret: 's3cret',
  },
  {
    name: 'a cluster without nodes',
    spec: onCluster({ redis: { cluster: { nodes: [] } } }),
    field: 'spec.redis.cluster.nodes',
    says: 'at least 1 items',
  },
]

const source: readonly InvalidRow[] = [
  { name: 'no stream', spec: { source: { stream: null } }, field: 'spec.source.stream', says: 'required value' },
  { name: 'an empty stream', spec: { source: { stream: '' } }, field: 'spec.source.stream', says: 'at least 1 chars long' },
  {
    name: 'a stream name without end',
    spec: { source: { stream: 's'.repeat(513) } },
    field: 'spec.source.stream',
    says: 'than 512',
  },
  {
    name: 'a closing brace alone',
    spec: { source: { stream: 'ndvi}:jobs' } },
    field: 'spec.source.stream',
    says: 'write at most one pair with something inside',
  },
  {
    name: 'braces with nothing inside',
    spec: { source: { stream: '{}ndvi' } },
    field: 'spec.source.stream',
    says: 'such as {ndvi}:jobs',
  },
  { name: 'two hash tags', spec: { source: { stream: '{a}:{b}' } }, field: 'spec.source.stream', says: 'at most one pair' },
  {
    name: 'a batch of none',
    spec: { source: { batchSize: 0 } },
    field: 'spec.source.batchSize',
    says: 'greater than or equal to 1',
  },
  {
    name: 'a batch too large',
    spec: { source: { batchSize: 1001 } },
    field: 'spec.source.batchSize',
    says: 'less than or equal to 1000',
  },
  {
    name: 'a number in quotes',
    spec: { source: { batchSize: '100' } },
    field: 'spec.source.batchSize',
    says: 'must be of type integer',
  },
  {
    name: 'half an entry',
    spec: { source: { batchSize: 1.5 } },
    field: 'spec.source.batchSize',
    says: 'must be of type integer',
  },
  {
    name: 'waiting for ever',
    spec: { source: { block: '0s' } },
    field: 'spec.source.block',
    says: 'write a duration between 100ms and 1m',
  },
  {
    name: 'a duration without unit',
    spec: { source: { block: '5' } },
    field: 'spec.source.block',
    says: 'write a duration such as 500ms, 30s',
  },
  {
    name: 'days',
    spec: { source: { retention: { settledFor: '7d' } } },
    field: 'spec.source.retention.settledFor',
    says: '7d is 168h',
  },
  {
    name: 'a fraction of an hour',
    spec: { source: { retention: { settledFor: '1.5h' } } },
    field: 'spec.source.retention.settledFor',
    says: '1.5h is 1h30m',
  },
  {
    name: 'a word that is no choice',
    spec: { source: { startFrom: 'Start' } },
    field: 'spec.source.startFrom',
    says: '"Beginning", "End"',
  },
  {
    name: 'its own group ignored',
    spec: { source: { retention: { ignoredGroups: ['audit', 'ndvi'] } } },
    field: 'spec.source.retention.ignoredGroups',
    says: 'take it out',
  },
  {
    name: 'a size as shops write it',
    spec: { source: { batchBytes: '256KB' } },
    field: 'spec.source.batchBytes',
    says: 'such as 256Ki or 1M (not 256KB',
  },
]

const payload: readonly InvalidRow[] = [
  {
    name: 'thousandths of a byte',
    spec: { payload: { maxBytes: '256m' } },
    field: 'spec.payload.maxBytes',
    says: 'write a size between 1 byte and 512Mi',
  },
  {
    name: 'a fraction of a size',
    spec: { payload: { maxBytes: '1.5Mi' } },
    field: 'spec.payload.maxBytes',
    says: 'not 256KB, 256K, 1.5Mi',
  },
  {
    name: 'a size past the bound',
    spec: { payload: { maxBytes: '1Gi' } },
    field: 'spec.payload.maxBytes',
    says: 'between 1 byte and 512Mi',
  },
  {
    name: 'a size of nothing',
    spec: { payload: { maxBytes: 0 } },
    field: 'spec.payload.maxBytes',
    says: 'between 1 byte and 512Mi',
  },
  {
    name: 'field without Json',
    spec: { payload: { field: 'payload' } },
    field: 'spec.payload.field',
    says: 'drop it, or write encoding: Json',
  },
  {
    name: 'Json without field',
    spec: { payload: { encoding: 'Json' } },
    field: 'spec.payload.field',
    says: 'write field: payload',
  },
  {
    name: 'a key of no fields',
    spec: { payload: { idempotencyKey: [] } },
    field: 'spec.payload.idempotencyKey',
    says: 'at least 1 items',
  },
  {
    name: 'a schema as text',
    spec: { payload: { schema: '{"type": "object"}' } },
    field: 'spec.payload.schema',
    says: 'must be of type object',
  },
  {
    name: 'an empty key without a key',
    spec: { payload: { allowEmptyKey: true } },
    field: 'spec.payload.allowEmptyKey',
    says: 'drop it, or name the fields of the key',
  },
  {
    name: 'an asterisk within a name',
    spec: { payload: { ignoreFields: ['a*b'] } },
    field: 'spec.payload.ignoreFields',
    says: 'such as x-*',
  },
  {
    name: 'metadata of no fields',
    spec: { payload: { metadataFields: [] } },
    field: 'spec.payload.metadataFields',
    says: 'at least 1 items',
  },
  {
    name: 'more ignored fields than the 32 allowed',
    spec: { payload: { ignoreFields: Array.from({ length: 33 }, (_, index) => `f${index}`) } },
    field: 'spec.payload.ignoreFields',
    says: 'at most 32 items',
  },
  {
    name: 'too many fields',
    spec: { payload: { maxFields: 1001 } },
    field: 'spec.payload.maxFields',
    says: 'less than or equal to 1000',
  },
]

const safety: readonly InvalidRow[] = [
  {
    name: 'taken over while locked',
    spec: { reclaim: { minIdle: '20s' } },
    field: 'spec.reclaim.minIdle',
    says: 'raise minIdle or lower lockTTL',
  },
  {
    name: 'forgotten before the last delivery',
    spec: { idempotency: { window: '4m' } },
    field: 'spec.idempotency.window',
    says: 'raise window',
  },
  {
    name: 'remembered for a year',
    spec: { idempotency: { window: '8760h' } },
    field: 'spec.idempotency.window',
    says: 'between 1s and 2160h',
  },
  {
    name: 'no deliveries at all',
    spec: { delivery: { maxDeliveries: 0 } },
    field: 'spec.delivery.maxDeliveries',
    says: 'greater than or equal to 1',
  },
  {
    name: 'dead letters into the source',
    spec: { deadLetter: { stream: 'ndvi:jobs' } },
    field: 'spec.deadLetter.stream',
    says: 'omit deadLetter.stream, or name one other than source.stream',
  },
  {
    name: 'failed jobs bounded by count and captured',
    spec: { sink: { bullmq: { jobOptions: { removeOnFail: { count: 10 } } } } },
    field: 'spec.sink.bullmq.jobOptions.removeOnFail.count',
    says: 'removeOnFail: {age: 168h}',
  },
  {
    name: 'failed jobs gone before they are captured',
    spec: { sink: { bullmq: { jobOptions: { removeOnFail: { age: '1s' } } } } },
    field: 'spec.sink.bullmq.jobOptions.removeOnFail.age',
    says: 'set deadLetter.failedJobs: Leave',
  },
  {
    name: 'failed jobs removed at once',
    spec: { sink: { bullmq: { jobOptions: { removeOnFail: true } } } },
    field: 'spec.sink.bullmq.jobOptions.removeOnFail',
    says: 'must be of type object',
  },
  {
    name: "dead letters outside the stream's slot",
    spec: onCluster({ deadLetter: { stream: 'dead' } }),
    field: 'spec.deadLetter.stream',
    says: 'write deadLetter.stream: "{ndvi:jobs}:dead", or omit it',
  },
  {
    name: "a queue outside the stream's slot",
    spec: onCluster({ source: { stream: 'jobs:{ndvi}' }, sink: { bullmq: { prefix: 'bull' } } }),
    field: 'spec.sink.bullmq.prefix',
    says: 'write sink.bullmq.prefix: "bull{ndvi}"',
  },
  {
    name: 'a queue in another slot',
    spec: onCluster({ sink: { bullmq: { prefix: '{other}' } } }),
    field: 'spec.sink.bullmq.prefix',
    says: 'write sink.bullmq.prefix: "bull{ndvi:jobs}", omit it',
  },
  {
    name: 'a queue spread over another cluster',
    spec: { sink: { bullmq: { prefix: 'bull', redis: { cluster: { nodes: ['q:6379'] } } } } },
    field: 'spec.sink.bullmq.prefix',
    says: "write a hash tag into prefix, such as '{bull}'",
  },
]

const sink: readonly InvalidRow[] = [
  {
    name: 'a colon in the queue',
    spec: { sink: { bullmq: { queue: 'farm:ndvi' } } },
    field: 'spec.sink.bullmq.queue',
    says: 'write another character',
  },
  { name: 'no queue', spec: { sink: { bullmq: { queue: null } } }, field: 'spec.sink.bullmq.queue', says: 'required value' },
  {
    name: "BullMQ's own deduplication",
    spec: { sink: { bullmq: { jobOptions: { deduplication: { id: 'x' } } } } },
    field: 'spec.sink.bullmq.jobOptions.deduplication',
    says: 'unknown field "spec.sink.bullmq.jobOptions.deduplication"',
  },
  {
    name: 'a backoff as BullMQ spells it',
    spec: { sink: { bullmq: { jobOptions: { backoff: { type: 'exponential', delay: '1s' } } } } },
    field: 'spec.sink.bullmq.jobOptions.backoff.type',
    says: '"Fixed", "Exponential"',
  },
  {
    name: 'allowed names with an asterisk in the middle',
    spec: { sink: { bullmq: { allow: { names: ['mail-*-x'] } } } },
    field: 'spec.sink.bullmq.allow.names',
    says: 'report-*',
  },
  {
    name: 'allowed priorities the wrong way round',
    spec: { sink: { bullmq: { allow: { priority: { min: 5, max: 2 } } } } },
    field: 'spec.sink.bullmq.allow.priority.min',
    says: 'the other way round',
  },
  {
    name: 'a name from the payload without its bounds',
    spec: { payload: { nameFrom: 'kind' } },
    field: 'spec.payload.nameFrom',
    says: 'write sink.bullmq.allow.names',
  },
  {
    name: 'a delay from the payload without its bound',
    spec: { payload: { delayFrom: 'wait' }, sink: { bullmq: { allow: {} } } },
    field: 'spec.payload.delayFrom',
    says: 'write sink.bullmq.allow.maxDelay',
  },
  {
    name: 'backpressure at nothing',
    spec: { sink: { bullmq: { maxWaiting: 0 } } },
    field: 'spec.sink.bullmq.maxWaiting',
    says: 'greater than or equal to 1',
  },
  {
    name: "two ways to the queue's Redis",
    spec: { sink: { bullmq: { redis: { url: 'redis://q:6379', cluster: { nodes: ['q:6379'] } } } } },
    field: 'spec.sink.bullmq.redis',
    says: 'exactly one way',
  },
]

const scaling: readonly InvalidRow[] = [
  {
    name: 'fewest above most',
    spec: { scaling: { minReplicas: 4, maxReplicas: 2 } },
    field: 'spec.scaling.minReplicas',
    says: 'minReplicas (4) is above maxReplicas (2): lower minReplicas or raise maxReplicas',
  },
  {
    name: 'a promise no pod can keep',
    spec: { scaling: { targetAge: '500ms' } },
    field: 'spec.scaling.targetAge',
    says: 'between 1s and 24h: a pod cannot start faster',
  },
  {
    name: 'a hold in lower case',
    spec: { scaling: { onMetricsLoss: 'hold' } },
    field: 'spec.scaling.onMetricsLoss',
    says: 'write Hold (keep what runs), Max',
  },
  {
    name: 'fewer than none',
    spec: { scaling: { onMetricsLoss: -1 } },
    field: 'spec.scaling.onMetricsLoss',
    says: 'or a number of replicas up to 1000',
  },
  {
    name: 'no consumers ever',
    spec: { scaling: { minReplicas: 0, maxReplicas: 0 } },
    field: 'spec.scaling.maxReplicas',
    says: 'greater than or equal to 1',
  },
  {
    name: 'four cron fields',
    spec: { scaling: { schedules: [{ cron: '0 8 * *', minReplicas: 2, for: '1h' }] } },
    field: 'spec.scaling.schedules[0].cron',
    says: 'such as 0 8 * * 1-5',
  },
  {
    name: 'a schedule without effect',
    spec: { scaling: { schedules: [{ cron: '0 8 * * *', for: '1h' }] } },
    field: 'spec.scaling.schedules[0]',
    says: 'set minReplicas, maxReplicas or both',
  },
  {
    name: 'a schedule with fewest above most',
    spec: { scaling: { schedules: [{ cron: '0 8 * * *', for: '1h', minReplicas: 3, maxReplicas: 2 }] } },
    field: 'spec.scaling.schedules[0].minReplicas',
    says: 'lower minReplicas or raise maxReplicas',
  },
  { name: 'an army', spec: { replicas: 1001 }, field: 'spec.replicas', says: 'less than or equal to 1000' },
]

const consumer: readonly InvalidRow[] = [
  {
    name: 'a log level in lower case',
    spec: { consumer: { logLevel: 'debug' } },
    field: 'spec.consumer.logLevel',
    says: '"Debug", "Info", "Warn", "Error"',
  },
  {
    name: 'no time to drain',
    spec: { consumer: { terminationGracePeriodSeconds: 0 } },
    field: 'spec.consumer.terminationGracePeriodSeconds',
    says: 'greater than or equal to 5',
  },
  {
    name: 'memory as shops write it',
    spec: { consumer: { resources: { limits: { memory: '256MB' } } } },
    field: 'spec.consumer.resources.limits[memory]',
    says: '256Mi for memory (not 256MB)',
  },
  {
    name: 'a label that is a number',
    spec: { consumer: { labels: { a: 1 } } },
    field: 'spec.consumer.labels.a',
    says: 'must be of type string',
  },
  {
    name: "labels of the operator's",
    spec: { consumer: { labels: { 'streampipeline.dev/name': 'other' } } },
    field: 'spec.consumer.labels',
    says: 'choose another prefix',
  },
  {
    name: 'a variable set twice',
    spec: {
      consumer: {
        env: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      },
    },
    field: 'spec.consumer.env[1]',
    says: 'duplicate value',
  },
  {
    name: 'a variable that is a number',
    spec: { consumer: { env: [{ name: 'A', value: 1 }] } },
    field: 'spec.consumer.env[0].value',
    says: 'must be of type string',
  },
  {
    name: 'an option of containers that is not passed on',
    spec: { consumer: { command: ['sh'] } },
    field: 'spec.consumer.command',
    says: 'unknown field "spec.consumer.command"',
  },
]

const head: readonly InvalidRow[] = [
  { name: 'no spec', whole: { spec: null }, field: 'spec.redis', says: 'required value' },
  { name: 'a misspelt part', spec: { sources: {} }, field: 'spec.sources', says: 'unknown field "spec.sources"' },
  { name: 'a field beside spec', whole: { data: {} }, field: 'data', says: 'unknown field "data"' },
  { name: 'a mode in lower case', spec: { mode: 'direct' }, field: 'spec.mode', says: '"Stream", "Direct"' },
  { name: 'suspend in quotes', spec: { suspend: 'true' }, field: 'spec.suspend', says: 'must be of type boolean' },
  {
    name: 'a name of 53 characters',
    whole: { metadata: { name: 'n'.repeat(53) } },
    field: 'metadata.name',
    says: 'has 53 characters; 52 are allowed',
  },
  { name: 'a name with a dot', whole: { metadata: { name: 'ndvi.farm' } }, field: 'metadata.name', says: 'write a dash' },
  { name: 'a name in capitals', whole: { metadata: { name: 'NDVI' } }, field: 'metadata.name', says: 'RFC 1123' },
  { name: 'no name', whole: { metadata: { name: null } }, field: 'metadata.name', says: 'required value' },
]

/** Forbidden names: a name becomes part of a URL and of a path. */
const oddNames = [
  '..',
  '.',
  '/',
  '../..',
  'a/../b',
  'a%2F..%2F..%2Fx',
  '%2e%2e',
  '__proto__',
  'A',
  'a_b',
  '-a',
  'a-',
  'a..b',
  'a b',
  'a\n',
  'a?b',
  'a#b',
  'ä',
]
const oddKeys = ['.', '..', '..data', '/', '../outside', 'a/b', 'a%2Fb', 'a b', 'a\n', 'a?b', 'ä', '\u0000']

const passwordFrom = (name: string, key: string) => ({ redis: { passwordFrom: { secretKeyRef: { name, key } } } })

const references: readonly InvalidRow[] = [
  ...oddNames.map((odd) => ({
    name: `a Secret called ${JSON.stringify(odd)}`,
    spec: passwordFrom(odd, 'password'),
    field: 'spec.redis.passwordFrom.secretKeyRef.name',
    says: 'write the name of a Kubernetes object',
  })),
  ...oddKeys.map((odd) => ({
    name: `a key called ${JSON.stringify(odd)}`,
    spec: passwordFrom('redis', odd),
    field: 'spec.redis.passwordFrom.secretKeyRef.key',
    says: 'write a key as Secrets and ConfigMaps have it',
  })),
  {
    name: 'a ConfigMap that leads elsewhere',
    spec: {
      redis: { url: 'rediss://redis:6379', tls: { caFrom: { configMapKeyRef: { name: '../secrets/x', key: 'ca.crt' } } } },
    },
    field: 'spec.redis.tls.caFrom.configMapKeyRef.name',
    says: 'write the name of a Kubernetes object',
  },
  {
    name: "a Secret that leads elsewhere, of the queue's Redis",
    spec: { sink: { bullmq: { redis: { urlFrom: { secretKeyRef: { name: '..', key: 'url' } } } } } },
    field: 'spec.sink.bullmq.redis.urlFrom.secretKeyRef.name',
    says: 'write the name of a Kubernetes object',
  },
  {
    name: 'a ServiceAccount that leads elsewhere',
    spec: { consumer: { serviceAccountName: 'a/b' } },
    field: 'spec.consumer.serviceAccountName',
    says: 'write the name of a Kubernetes object',
  },
  {
    name: 'a priority class that leads elsewhere',
    spec: { consumer: { priorityClassName: '..' } },
    field: 'spec.consumer.priorityClassName',
    says: 'write the name of a Kubernetes object',
  },
]

export const invalid: readonly InvalidRow[] = [
  ...references,
  ...redis,
  ...source,
  ...payload,
  ...safety,
  ...sink,
  ...scaling,
  ...consumer,
  ...head,
]

const properties = { request_hash: { type: 'string' }, farm_id: { type: 'integer' } }

export const invalidBeyondServer: readonly InvalidRow[] = [
  {
    name: 'a schema with a misspelt keyword',
    spec: { payload: { schema: { type: 'object', propertys: {} } } },
    field: 'spec.payload.schema.propertys',
    says: 'unknown keyword: "propertys": write properties',
  },
  {
    name: 'a schema of a type there is not',
    spec: { payload: { schema: { type: 'objekt' } } },
    field: 'spec.payload.schema.type',
    says: 'not a JSON Schema',
  },
  {
    name: 'a schema of another draft',
    spec: { payload: { schema: { $schema: 'http://json-schema.org/draft-04/schema#', type: 'object' } } },
    field: 'spec.payload.schema.$schema',
    says: 'draft-04',
  },
  {
    name: 'a payload that is a list',
    spec: { payload: { schema: { type: 'array', items: {} } } },
    field: 'spec.payload.schema.type',
    says: 'write type: object',
  },
  {
    name: 'a key the schema does not know',
    spec: { payload: { schema: { type: 'object', properties }, idempotencyKey: ['request_hash', 'farm'] } },
    field: 'spec.payload.idempotencyKey[1]',
    says: 'name one of request_hash, farm_id',
  },
  {
    name: 'a document that is left out',
    spec: { payload: { encoding: 'Json', field: 'body', ignoreFields: ['source', 'body'] } },
    field: 'spec.payload.ignoreFields[1]',
    says: 'which holds the document',
  },
  {
    name: 'a key that is left out',
    spec: { payload: { idempotencyKey: ['x-id'], ignoreFields: ['x-*'] } },
    field: 'spec.payload.ignoreFields[0]',
    says: '"x-id", a field of the idempotency key',
  },
  {
    name: 'a property that is metadata',
    spec: { payload: { schema: { type: 'object', properties }, metadataFields: ['farm_id'] } },
    field: 'spec.payload.metadataFields[0]',
    says: '"farm_id", a property of the schema',
  },
  {
    name: 'a payload all of whose fields are left out',
    spec: { payload: { ignoreFields: ['*'] } },
    field: 'spec.payload.ignoreFields[0]',
    says: 'names every field',
  },
  {
    name: 'a time zone there is not',
    spec: { scaling: { schedules: [{ cron: '0 8 * * *', timeZone: 'Mars/Olympus', for: '1h', minReplicas: 2 }] } },
    field: 'spec.scaling.schedules[0].timeZone',
    says: 'such as Europe/Lisbon',
  },
  {
    name: 'a schedule that never comes true',
    spec: { scaling: { schedules: [{ cron: '0 8 31 4,6 *', for: '1h', minReplicas: 2 }] } },
    field: 'spec.scaling.schedules[0].cron',
    says: 'it never comes true',
  },
  {
    name: 'a cron field out of range',
    spec: { scaling: { schedules: [{ cron: '0 25 * * *', for: '1h', minReplicas: 2 }] } },
    field: 'spec.scaling.schedules[0].cron',
    says: 'values from 0 to 23',
  },
]
