/**
 * The compiled form of a StreamPipeline: what the program works with. Defaults are in. Durations are milliseconds (`…Ms`), sizes
 * are bytes (`…Bytes`). Derived names are spelled out. One-of choices are discriminated unions. The whole is frozen. User shape →
 * defaulted (parse.ts) → compiled (compile.ts).
 */

export interface Reference {
  readonly kind: 'Secret' | 'ConfigMap'
  readonly name: string
  readonly key: string
  /** Path of the field that refers, for messages: `spec.redis.passwordFrom`. */
  readonly field: string
}

export interface TlsTarget {
  readonly ca?: Reference
  readonly cert?: Reference
  readonly key?: Reference
  readonly serverName?: string
}

interface Access {
  readonly username?: Reference
  readonly password?: Reference
  readonly tls?: TlsTarget
}

/** One way to reach Redis, references not yet read. */
export type RedisTarget =
  | ({ readonly kind: 'Url'; readonly url: string } & Access)
  | ({ readonly kind: 'UrlFrom'; readonly from: Reference } & Access)
  | ({
      readonly kind: 'Sentinel'
      readonly master: string
      readonly nodes: readonly HostPort[]
      readonly database: number
      readonly sentinelUsername?: Reference
      readonly sentinelPassword?: Reference
    } & Access)
  | ({ readonly kind: 'Cluster'; readonly nodes: readonly HostPort[] } & Access)

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface CompiledJobOptions {
  readonly attempts: number
  readonly backoff?: { readonly type: 'fixed' | 'exponential'; readonly delay: number }
  readonly priority?: number
  readonly delay?: number
  readonly lifo?: boolean
  readonly removeOnComplete: KeptJobs
  readonly removeOnFail: KeptJobs
}

/** BullMQ's KeepJobs: true removes at once, false never; `age` in seconds. */
export type KeptJobs =
  | boolean
  | { readonly count: number; readonly age?: number }
  | { readonly age: number; readonly count?: number }

/** Bound on what a request may set for the removal of its job. It must keep at least `least`, which is what the pipeline keeps. */
export interface KeptBound {
  /** Whether the job may be removed as soon as it ends. */
  readonly atOnce: boolean
  readonly least: KeptJobs
}

/**
 * Options that producers may set for the job of one request. An option whose member is absent is refused. Times are milliseconds,
 * ages seconds.
 */
export interface CompiledAllow {
  /** Names, or prefixes followed by `*`. */
  readonly names?: readonly string[]
  readonly maxDelay?: number
  readonly priority?: { readonly min: number; readonly max: number }
  readonly maxAttempts?: number
  readonly maxBackoff?: number
  readonly lifo?: true
  readonly removeOnComplete?: KeptBound
  readonly removeOnFail?: KeptBound
  readonly idempotencyKey?: true
}

export interface CompiledSource {
  readonly stream: string
  readonly group: string
  readonly startFrom: 'Beginning' | 'End'
  readonly batchSize: number
  readonly batchBytes: number
  readonly blockMs: number
  readonly inFlightBatches: number
  readonly retention: { readonly maxEntries?: number; readonly settledForMs: number; readonly ignoredGroups: readonly string[] }
}

export interface CompiledPayload {
  readonly encoding: 'Fields' | 'Json'
  /** With Json: the entry's field that holds the document. */
  readonly field: string
  /** JSON Schema 2020-12. */
  readonly schema?: Readonly<Record<string, unknown>>
  /** Fields whose values make the key, in order; undefined: the canonical payload. */
  readonly idempotencyKey?: readonly string[]
  /** True: an empty text is a key. Absent means false. */
  readonly allowEmptyKey?: true
  /** Entry fields that are no part of the payload, by name or `prefix*`. */
  readonly ignoreFields?: readonly string[]
  /** Entry fields that workers get beside the payload, by name or `prefix*`. */
  readonly metadataFields?: readonly string[]
  /** Payload fields that name the job, or hold its delay in milliseconds from dispatch, or its priority. */
  readonly nameFrom?: string
  readonly delayFrom?: string
  readonly priorityFrom?: string
  readonly maxBytes: number
  readonly maxFields: number
}

export interface CompiledSink {
  readonly queue: string
  readonly prefix: string
  readonly jobName: string
  readonly jobOptions: CompiledJobOptions
  readonly maxWaiting: number
  /** Absent: producers set no options. */
  readonly allow?: CompiledAllow
  /** Only when the queue lives in another Redis. */
  readonly redis?: RedisTarget
}

export interface CompiledSchedule {
  readonly cron: string
  readonly timeZone: string
  readonly minReplicas?: number
  readonly maxReplicas?: number
  readonly forMs: number
}

export interface CompiledScaling {
  readonly policy: 'Active' | 'Manual'
  readonly minReplicas: number
  readonly maxReplicas: number
  readonly targetAgeMs: number
  /** Absent: learned. */
  readonly scaleDownDelayMs?: number | undefined
  readonly idleAfterMs: number
  readonly onMetricsLoss: 'Hold' | 'Max' | number
  readonly schedules: readonly CompiledSchedule[]
}

/** The part of `spec` that moves data. Scaling, mode and the form of pods are apart, so that scaling never rolls pods. */
export interface CompiledPipeline {
  readonly name: string
  readonly namespace: string
  /** metadata.uid; empty for a pipeline that no API server has seen (local runs). */
  readonly uid: string
  readonly generation: number
  readonly mode: 'Stream' | 'Direct'
  readonly suspend: boolean
  /** Used when scaling.policy is Manual. */
  readonly replicas: number
  readonly redis: RedisTarget
  readonly source: CompiledSource
  readonly payload: CompiledPayload
  readonly reclaim: { readonly minIdleMs: number; readonly intervalMs: number }
  readonly delivery: { readonly maxDeliveries: number }
  readonly idempotency: { readonly windowMs: number; readonly lockTtlMs: number }
  readonly deadLetter: {
    readonly stream: string
    readonly maxEntries: number
    readonly failedJobs: 'Capture' | 'Leave'
    /** Each job keeps its data as it came. If a worker changes the data and the job fails, its dead letter has this copy. */
    readonly requestCopy: boolean
  }
  readonly sink: CompiledSink
  readonly scaling: CompiledScaling
  readonly logLevel: 'Debug' | 'Info' | 'Warn' | 'Error'
  readonly terminationGracePeriodMs: number
}
