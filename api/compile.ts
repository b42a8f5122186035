/** From the resource as written to the form the program works with (compiled.ts), in two steps: defaulted, then compiled and frozen. */
import type {
  CompiledAllow,
  CompiledJobOptions,
  CompiledPayload,
  CompiledPipeline,
  CompiledScaling,
  CompiledSink,
  CompiledSource,
  HostPort,
  KeptJobs,
  RedisTarget,
  Reference,
} from './compiled.ts'
import { parseDuration } from './duration.ts'
import { failure } from './errors.ts'
import { parseQuantity } from './quantity.ts'
import type { StreamPipeline, StreamPipelineSpec } from './schema/pipeline.ts'
import type { RedisSpec, ReferenceSpec } from './schema/redis.ts'

/** The compiled form, deep-frozen. The resource comes from `parsePipeline`, so its values are known to be sound. */
export function compilePipeline(resource: StreamPipeline): CompiledPipeline {
  const { metadata, spec } = resource
  return frozen({
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    uid: metadata.uid ?? '',
    generation: metadata.generation ?? 0,
    mode: spec.mode,
    suspend: spec.suspend,
    replicas: spec.replicas,
    redis: redisTarget(spec.redis, 'spec.redis'),
    source: source(spec.source),
    payload: payload(spec.payload),
    reclaim: { minIdleMs: ms(spec.reclaim.minIdle), intervalMs: ms(spec.reclaim.interval) },
    delivery: { maxDeliveries: spec.delivery.maxDeliveries },
    idempotency: { windowMs: ms(spec.idempotency.window), lockTtlMs: ms(spec.idempotency.lockTTL) },
    deadLetter: {
      stream: spec.deadLetter.stream ?? deadLetterStream(spec.source.stream),
      maxEntries: spec.deadLetter.maxEntries,
      failedJobs: spec.deadLetter.failedJobs,
      requestCopy: spec.deadLetter.requestCopy,
    },
    sink: sink(spec),
    scaling: compileScaling(spec.scaling),
    logLevel: spec.consumer.logLevel,
    terminationGracePeriodMs: spec.consumer.terminationGracePeriodSeconds * 1000,
  })
}

/** The derived name shares the stream's slot in a Redis Cluster, whether or not there is one today. */
function deadLetterStream(stream: string): string {
  return stream.includes('{') ? `${stream}:dead` : `{${stream}}:dead`
}

function hashTag(stream: string): string {
  return /\{([^}]+)\}/.exec(stream)?.[1] ?? stream
}

function ms(text: string): number {
  const value = parseDuration(text)
  if (value === undefined) throw failure('Internal', { detail: `${text} passed validation as a duration` })
  return value
}

function bytes(amount: string | number): number {
  const value = typeof amount === 'number' ? amount : parseQuantity(amount)
  if (value === undefined) throw failure('Internal', { detail: `${amount} passed validation as a size` })
  return value
}

function reference(spec: ReferenceSpec | undefined, field: string): Reference | undefined {
  if (spec?.secretKeyRef !== undefined) return { kind: 'Secret', ...spec.secretKeyRef, field }
  if (spec?.configMapKeyRef !== undefined) return { kind: 'ConfigMap', ...spec.configMapKeyRef, field }
  return undefined
}

function hostPort(text: string): HostPort {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(colon + 1)) }
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Drops what is undefined, so that an absent option is absent. */
function present<T extends object>(options: T): Partial<Present<T>> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Present<T>>
}

function redisTarget(spec: RedisSpec, field: string): RedisTarget {
  const access = present({
    username: reference(spec.usernameFrom, `${field}.usernameFrom`),
    password: reference(spec.passwordFrom, `${field}.passwordFrom`),
    tls:
      spec.tls &&
      present({
        ca: reference(spec.tls.caFrom, `${field}.tls.caFrom`),
        cert: reference(spec.tls.certFrom, `${field}.tls.certFrom`),
        key: reference(spec.tls.keyFrom, `${field}.tls.keyFrom`),
        serverName: spec.tls.serverName,
      }),
  })
  if (spec.url !== undefined) return { kind: 'Url', url: spec.url, ...access }
  const from = reference(spec.urlFrom, `${field}.urlFrom`)
  if (from !== undefined) return { kind: 'UrlFrom', from, ...access }
  if (spec.cluster !== undefined) return { kind: 'Cluster', nodes: spec.cluster.nodes.map(hostPort), ...access }
  if (spec.sentinel === undefined) throw failure('Internal', { detail: `${field} passed validation without a way to Redis` })
  return {
    kind: 'Sentinel',
    master: spec.sentinel.master,
    nodes: spec.sentinel.nodes.map(hostPort),
    database: spec.sentinel.database,
    ...present({
      sentinelUsername: reference(spec.sentinel.usernameFrom, `${field}.sentinel.usernameFrom`),
      sentinelPassword: reference(spec.sentinel.passwordFrom, `${field}.sentinel.passwordFrom`),
    }),
    ...access,
  }
}

function source(spec: StreamPipelineSpec['source']): CompiledSource {
  return {
    stream: spec.stream,
    group: spec.group,
    startFrom: spec.startFrom,
    batchSize: spec.batchSize,
    batchBytes: bytes(spec.batchBytes),
    blockMs: ms(spec.block),
    inFlightBatches: spec.inFlightBatches,
    retention: {
      ...present({ maxEntries: spec.retention.maxEntries }),
      settledForMs: ms(spec.retention.settledFor),
      ignoredGroups: spec.retention.ignoredGroups,
    },
  }
}

function payload(spec: StreamPipelineSpec['payload']): CompiledPayload {
  return {
    encoding: spec.encoding,
    field: spec.field ?? '',
    ...present({
      schema: spec.schema,
      idempotencyKey: spec.idempotencyKey,
      allowEmptyKey: spec.allowEmptyKey ? true : undefined,
      ignoreFields: spec.ignoreFields,
      metadataFields: spec.metadataFields,
      nameFrom: spec.nameFrom,
      delayFrom: spec.delayFrom,
      priorityFrom: spec.priorityFrom,
    }),
    maxBytes: bytes(spec.maxBytes),
    maxFields: spec.maxFields,
  }
}

function sink(spec: StreamPipelineSpec): CompiledSink {
  const { bullmq } = spec.sink
  const clustered = bullmq.redis === undefined ? spec.redis.cluster : bullmq.redis.cluster
  const prefix = clustered === undefined ? 'bull' : `bull{${hashTag(spec.source.stream)}}`
  return {
    queue: bullmq.queue,
    prefix: bullmq.prefix ?? prefix,
    jobName: bullmq.jobName,
    jobOptions: jobOptions(bullmq.jobOptions),
    maxWaiting: bullmq.maxWaiting,
    ...(bullmq.allow !== undefined && { allow: allow(bullmq.allow, spec) }),
    ...(bullmq.redis !== undefined && { redis: redisTarget(bullmq.redis, 'spec.sink.bullmq.redis') }),
  }
}

type AllowSpec = NonNullable<StreamPipelineSpec['sink']['bullmq']['allow']>

function allow(spec: AllowSpec, { sink, deadLetter }: StreamPipelineSpec): CompiledAllow {
  const { removeOnComplete, removeOnFail } = sink.bullmq.jobOptions
  return present({
    names: spec.names,
    maxDelay: spec.maxDelay === undefined ? undefined : ms(spec.maxDelay),
    priority: spec.priority,
    maxAttempts: spec.maxAttempts,
    maxBackoff: spec.maxBackoff === undefined ? undefined : ms(spec.maxBackoff),
    lifo: spec.lifo ? true : undefined,
    removeOnComplete: spec.removeOnComplete ? { atOnce: true, least: keepJobs(removeOnComplete) } : undefined,
    // A failed job that is gone at once cannot be captured.
    removeOnFail: spec.removeOnFail ? { atOnce: deadLetter.failedJobs === 'Leave', least: keepJobs(removeOnFail) } : undefined,
    idempotencyKey: spec.idempotencyKey ? true : undefined,
  })
}

type JobOptionsSpec = StreamPipelineSpec['sink']['bullmq']['jobOptions']

const backoffTypes = { Fixed: 'fixed', Exponential: 'exponential' } as const

/** As BullMQ takes them. Options at BullMQ's own defaults are left out, since options are stored with every job. */
function jobOptions(spec: JobOptionsSpec): CompiledJobOptions {
  return {
    attempts: spec.attempts,
    ...present({
      backoff: spec.backoff && { type: backoffTypes[spec.backoff.type], delay: ms(spec.backoff.delay) },
      priority: spec.priority === 0 ? undefined : spec.priority,
      delay: ms(spec.delay) === 0 ? undefined : ms(spec.delay),
      lifo: spec.lifo ? true : undefined,
    }),
    removeOnComplete: keepJobs(spec.removeOnComplete),
    removeOnFail: keepJobs(spec.removeOnFail),
  }
}

/** Without bounds all are kept. BullMQ counts ages in whole seconds; rounded up, nothing goes early. */
function keepJobs({ count, age }: JobOptionsSpec['removeOnFail']): KeptJobs {
  const seconds = age === undefined ? undefined : Math.ceil(ms(age) / 1000)
  if (count !== undefined) return { count, ...present({ age: seconds }) }
  return seconds === undefined ? false : { age: seconds }
}

function onMetricsLoss(spec: string | number): CompiledScaling['onMetricsLoss'] {
  return typeof spec === 'number' ? spec : spec === 'Max' ? 'Max' : 'Hold'
}

/** Compiles a defaulted section alone, as simulated scenarios have it. */
export function compileScaling(spec: StreamPipelineSpec['scaling']): CompiledScaling {
  return {
    policy: spec.policy,
    minReplicas: spec.minReplicas,
    maxReplicas: spec.maxReplicas,
    targetAgeMs: ms(spec.targetAge),
    ...(spec.scaleDownDelay === undefined ? {} : { scaleDownDelayMs: ms(spec.scaleDownDelay) }),
    idleAfterMs: ms(spec.idleAfter),
    onMetricsLoss: onMetricsLoss(spec.onMetricsLoss),
    schedules: spec.schedules.map(({ cron, timeZone = 'UTC', minReplicas, maxReplicas, for: length }) => ({
      cron,
      timeZone,
      ...present({ minReplicas, maxReplicas }),
      forMs: ms(length),
    })),
  }
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}
