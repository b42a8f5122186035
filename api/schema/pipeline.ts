/**
 * The resource StreamPipeline, whole: the one source of the CRD, the TypeScript types, the defaults, the reference page and
 * `validate`. Rules that join several parts are here; those within one part are in its file.
 */
import { z } from 'zod'
import { markBytes } from '../markmemory.ts'
import { statusSchema } from '../status.ts'
import { consumerSchema } from './consumer.ts'
import { payloadSchema } from './payload.ts'
import { redisSchema } from './redis.ts'
import { guarded, type Rule, tagOf } from './rules.ts'
import { count, duration, isDuration, keyName, mostReplicas } from './scalars.ts'
import { scalingSchema } from './scaling.ts'
import { queueSharesSlot, sinkSchema } from './sink.ts'
import { sourceSchema } from './source.ts'

export const group = 'streampipeline.dev'
export const version = 'v1alpha1'
export const apiVersion = `${group}/${version}` as const
export const kind = 'StreamPipeline'
export const plural = 'streampipelines'

/** Longest name: the ReplicaSet hash and pod suffix that follow it must fit into 63 characters. */
const longestName = 52

const reclaim = z.strictObject({
  minIdle: duration('1s', '24h')
    .default('60s')
    .describe(
      'Another consumer takes an entry over after its holder has given no sign of life for this long. If the operator sees that the pod is gone, other consumers do not wait that long.',
    ),
  interval: duration('100ms', '1h').default('15s').describe('Time between two checks for such entries.'),
})

const delivery = z.strictObject({
  maxDeliveries: count(1, 1000)
    .default(5)
    .describe('Most deliveries of an entry. An entry that is not settled after them becomes a dead letter.'),
})

const idempotency = z.strictObject({
  window: duration('1s', '2160h')
    .default('24h')
    .describe(
      `How long Redis remembers a forwarded key. Each key takes about ${markBytes} bytes of the queue's Redis. At 1,200 entries a second, 24h take 20 GiB.`,
    ),
  lockTTL: duration('1s', '1h')
    .default('30s')
    .describe(
      'How long a forwarder on the portable path locks one key. Consumers and dispatchers in mode Direct may use that path.',
    ),
})

const deadLetter = z.strictObject({
  stream: keyName(512, '{ndvi:jobs}:dead')
    .optional()
    .describe('Redis key of the dead letters. Omitted: `{<stream>}:dead`, or `<stream>:dead` if the stream has a hash tag.'),
  maxEntries: count(1, Number.MAX_SAFE_INTEGER)
    .default(100_000)
    .describe(
      'Most dead letters. At this number no old one is deleted. Further entries stay pending, and failed jobs stay in the failed set.',
    ),
  failedJobs: z
    .enum(['Capture', 'Leave'])
    .default('Capture')
    .describe('Capture: jobs that BullMQ gave up on become dead letters. Leave: they stay in the failed set.'),
  requestCopy: z
    .boolean()
    .default(false)
    .describe(
      "Each job keeps a copy of its request, beside the data that a worker may change (`updateData`). If the job fails after its entry has left the stream, its dead letter has that copy. The copy takes as much memory of the queue's Redis as the payload, for the life of the job.",
    ),
})

const guard = (...fields: string[]) => fields.map((field) => `!${isDuration(field)}`).join(' || ')
const streamTag = tagOf('self.source.stream')

/** A payload field may set a job option only if the pipeline lets requests set it. */
const allowedFrom = (field: string, bound: string): Rule => ({
  rule: `!has(self.payload.${field}) || (has(self.sink.bullmq.allow) && has(self.sink.bullmq.allow.${bound}))`,
  message: `payload.${field} needs its bounds: write sink.bullmq.allow.${bound}`,
  fieldPath: `.payload.${field}`,
  reason: 'FieldValueInvalid',
})

const specRules: readonly Rule[] = [
  allowedFrom('nameFrom', 'names'),
  allowedFrom('delayFrom', 'maxDelay'),
  allowedFrom('priorityFrom', 'priority'),
  {
    rule: '!has(self.deadLetter.stream) || self.deadLetter.stream != self.source.stream',
    message: 'dead letters need a stream of their own: omit deadLetter.stream, or name one other than source.stream',
    fieldPath: '.deadLetter.stream',
    reason: 'FieldValueInvalid',
  },
  {
    rule: `${guard('self.reclaim.minIdle', 'self.idempotency.lockTTL')} || duration(self.reclaim.minIdle) >= duration(self.idempotency.lockTTL)`,
    message: 'reclaim.minIdle is shorter than idempotency.lockTTL: raise minIdle or lower lockTTL',
    messageExpression:
      "'reclaim.minIdle (%s) is shorter than idempotency.lockTTL (%s), so an entry could be taken over while its first owner still holds the lock: raise minIdle or lower lockTTL'.format([self.reclaim.minIdle, self.idempotency.lockTTL])",
    fieldPath: '.reclaim.minIdle',
    reason: 'FieldValueInvalid',
  },
  {
    rule: `${guard('self.reclaim.minIdle', 'self.idempotency.window')} || duration(self.idempotency.window).getMilliseconds() >= duration(self.reclaim.minIdle).getMilliseconds() * self.delivery.maxDeliveries`,
    message: 'idempotency.window is shorter than reclaim.minIdle x delivery.maxDeliveries: raise window',
    messageExpression:
      "'idempotency.window (%s) is shorter than reclaim.minIdle x delivery.maxDeliveries (%s x %d), so a late redelivery could be forwarded twice: raise window'.format([self.idempotency.window, self.reclaim.minIdle, self.delivery.maxDeliveries])",
    fieldPath: '.idempotency.window',
    reason: 'FieldValueInvalid',
  },
  {
    rule: "self.deadLetter.failedJobs != 'Capture' || !has(self.sink.bullmq.jobOptions.removeOnFail.count)",
    message:
      'removeOnFail by count may drop failed jobs before they are captured: bound them by age (removeOnFail: {age: 168h}), or set deadLetter.failedJobs: Leave',
    fieldPath: '.sink.bullmq.jobOptions.removeOnFail.count',
    reason: 'FieldValueInvalid',
  },
  {
    rule: `self.deadLetter.failedJobs != 'Capture' || !has(self.sink.bullmq.jobOptions.removeOnFail.age) || ${guard('self.sink.bullmq.jobOptions.removeOnFail.age')} || duration(self.sink.bullmq.jobOptions.removeOnFail.age) >= duration('10m')`,
    message:
      'failed jobs may be gone before they are captured: keep them for 10m or longer (removeOnFail: {age: 168h}), or set deadLetter.failedJobs: Leave',
    fieldPath: '.sink.bullmq.jobOptions.removeOnFail.age',
    reason: 'FieldValueInvalid',
  },
  {
    rule: `!has(self.redis.cluster) || !has(self.deadLetter.stream) || ${tagOf('self.deadLetter.stream')} == ${streamTag}`,
    message: "Redis Cluster: dead letters must share the stream's slot: give deadLetter.stream the stream's hash tag, or omit it",
    messageExpression: `'Redis Cluster: dead letters must share the stream\\'s slot: write deadLetter.stream: "{' + ${streamTag} + '}:dead", or omit it'`,
    fieldPath: '.deadLetter.stream',
    reason: 'FieldValueInvalid',
  },
  {
    rule: `!has(self.redis.cluster) || has(self.sink.bullmq.redis) || ${queueSharesSlot}`,
    message:
      "Redis Cluster: queue and stream must share a slot: give sink.bullmq.prefix the stream's hash tag, omit it, or name another Redis in sink.bullmq.redis",
    messageExpression: `'Redis Cluster: queue and stream must share a slot: write sink.bullmq.prefix: "bull{' + ${streamTag} + '}", omit it, or name another Redis in sink.bullmq.redis'`,
    fieldPath: '.sink.bullmq.prefix',
    reason: 'FieldValueInvalid',
  },
  {
    // The rule allows a change back to 1, the default: dropping the field from a manifest looks like that.
    rule: "self.scaling.policy != 'Active' || oldSelf.scaling.policy != 'Active' || self.replicas == oldSelf.replicas || self.replicas == 1",
    message:
      'replicas has no effect while scaling.policy is Active: set scaling.policy: Manual first, or change scaling.minReplicas and maxReplicas',
    fieldPath: '.replicas',
    reason: 'FieldValueForbidden',
  },
]

const specSchema = guarded(
  z.strictObject({
    mode: z
      .enum(['Stream', 'Direct'])
      .default('Stream')
      .describe(
        'Where producers add requests. Stream: to the stream. Direct: to the BullMQ queue, without consumers, for a rollback. Consumers then drain the stream and stop.',
      ),
    suspend: z
      .boolean()
      .default(false)
      .describe(
        'True: consumers settle the entries that they hold, and stop. Nothing is deleted. `suspend` overrides `mode`, and `mode` overrides `scaling`.',
      ),
    replicas: count(0, mostReplicas)
      .default(1)
      .describe('Number of consumers under `scaling.policy: Manual`. `kubectl scale` sets it. Under Active a change is refused.'),
    redis: redisSchema.describe('Address of the Redis that holds the stream.'),
    source: sourceSchema.describe('Where entries come from.'),
    payload: payloadSchema.prefault({ encoding: 'Fields' }).describe('The form of an entry, and its idempotency key.'),
    reclaim: reclaim.prefault({ minIdle: '60s' }).describe('Takeover of entries from consumers that died.'),
    delivery: delivery.prefault({ maxDeliveries: 5 }).describe('How often Redis may deliver an entry.'),
    idempotency: idempotency
      .prefault({ window: '24h', lockTTL: '30s' })
      .describe('Consumers forward each idempotency key once within a window.'),
    deadLetter: deadLetter
      .prefault({ failedJobs: 'Capture' })
      .describe('Where consumers record entries that they cannot forward.'),
    sink: sinkSchema.describe('Where consumers add the jobs.'),
    scaling: scalingSchema
      .prefault({ policy: 'Active', minReplicas: 1, maxReplicas: 10 })
      .describe('How many consumers run, and when.'),
    consumer: consumerSchema.prefault({}).describe("Settings of the consumers' pods. The operator decides all others."),
  }),
  ...specRules,
)

export const pipelineSchema = guarded(
  z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: z.looseObject({
      name: z.string().min(1),
      namespace: z.string().optional(),
      uid: z.string().optional(),
      generation: z.int().optional(),
      resourceVersion: z.string().optional(),
      deletionTimestamp: z.string().optional(),
      labels: z.record(z.string(), z.string()).optional(),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
    spec: specSchema.describe('The wanted pipeline.'),
    status: statusSchema.optional().describe('The state of the pipeline, as the operator observed it.'),
  }),
  {
    rule: `size(self.metadata.name) <= ${longestName}`,
    message: `metadata.name may have at most ${longestName} characters: choose a shorter one, since pods are named after it`,
    messageExpression: `'metadata.name has %d characters; ${longestName} are allowed, since pods are named after it: choose a shorter one'.format([size(self.metadata.name)])`,
    fieldPath: '.metadata.name',
    reason: 'FieldValueInvalid',
  },
  {
    rule: "!self.metadata.name.contains('.')",
    message: 'metadata.name may not contain a dot, since pods and consumers are named after it: write a dash',
    fieldPath: '.metadata.name',
    reason: 'FieldValueInvalid',
  },
)

/** The resource as a person writes it: defaults may be left out. */
export type StreamPipelineInput = z.input<typeof pipelineSchema>
/** With every default filled in: what the API server stores. */
export type StreamPipeline = z.output<typeof pipelineSchema>
export type StreamPipelineSpec = StreamPipeline['spec']
export type ConsumerSpec = StreamPipelineSpec['consumer']
