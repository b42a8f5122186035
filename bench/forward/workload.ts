/**
 * The payloads: vegetation-index requests as in the quick start, about 200 bytes; the same with a field boundary, about 1 KiB; the same
 * with a raster, 64 KiB; and, for memory only, with one of 256 KiB. All are distinct, and equal for an equal index. The pipeline checks
 * each against its schema.
 */
import { createHash } from 'node:crypto'

export type PayloadKind = '200B' | '1KiB' | '64KiB' | '256KiB'

export const names = {
  stream: 'ndvi:jobs',
  group: 'ndvi',
  queue: 'ndvi',
  prefix: 'bull',
  jobName: 'compute',
  /** The queue that is forwarded from queue to queue. */
  sourceQueue: 'ndvi-requests',
} as const

/** Job options of every contender, so that jobs are equal. */
export const jobOptions = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 1_000 },
  removeOnComplete: { count: 1_000 },
} as const

export function payload(kind: PayloadKind, index: number) {
  const request = {
    job_id: index + 1,
    request_hash: createHash('sha256').update(`${kind}/${index}`).digest('hex'),
    farm_id: 1 + (index % 5_000),
    engine: 'sentinel-hub',
    job_type: 'ndvi_timeseries',
    enqueue_timestamp: 1_780_000_000 + index / 100,
  }
  switch (kind) {
    case '200B':
      return request
    case '1KiB':
      return { ...request, boundary: boundary(index) }
    case '64KiB':
      return { ...request, raster: `${index}`.padEnd(2 ** 16 - 256, 'ndvi') }
    case '256KiB':
      return { ...request, raster: `${index}`.padEnd(2 ** 18 - 256, 'ndvi') }
    default:
      return kind satisfies never
  }
}

/** Well-known text of a polygon with 38 corners. */
function boundary(index: number): string {
  const corner = (step: number) =>
    `${(24 + ((index * 31 + step * 17) % 9_999) / 10_000).toFixed(6)} ${(38 + step / 97).toFixed(8)}`
  return `POLYGON((${Array.from({ length: 38 }, (_, step) => corner(step)).join(', ')}))`
}

/** The entry of a payload: one field per member, as text. */
export function entryFields(kind: PayloadKind, index: number): string[] {
  return Object.entries(payload(kind, index)).flatMap(([name, value]) => [name, String(value)])
}

/** The pipeline that forwards it, every guarantee on. @param batchSize entries read at a time; default: the product's */
export function pipelineDocument(url: string, batchSize?: number) {
  return {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name: 'bench' },
    spec: {
      redis: { url },
      source: { stream: names.stream, group: names.group, ...(batchSize === undefined ? {} : { batchSize }) },
      payload: {
        idempotencyKey: ['request_hash'],
        schema: {
          type: 'object',
          additionalProperties: false,
          required: ['job_id', 'request_hash', 'farm_id', 'engine', 'job_type', 'enqueue_timestamp'],
          properties: {
            job_id: { type: 'integer', minimum: 1 },
            request_hash: { type: 'string', pattern: '^[0-9a-f]{64}$' },
            farm_id: { type: 'integer', minimum: 1 },
            engine: { type: 'string', enum: ['sentinel-hub', 'earth-engine', 'local-raster'] },
            job_type: { type: 'string', enum: ['ndvi_current', 'ndvi_timeseries', 'ndvi_raster'] },
            enqueue_timestamp: { type: 'number', minimum: 0 },
            boundary: { type: 'string', maxLength: 2_000 },
            raster: { type: 'string', maxLength: 2 ** 18 },
          },
        },
      },
      sink: {
        bullmq: {
          queue: names.queue,
          jobName: names.jobName,
          jobOptions: { attempts: 3, backoff: { type: 'Exponential', delay: '1s' }, removeOnComplete: { count: 1_000 } },
          maxWaiting: 2_000_000,
        },
      },
    },
  }
}
