/**
 * How much memory a consumer may need, worked out from the spec. It holds batches and little else, so their size counts. A batch
 * comes near `batchBytes`. It can be sixteen entries of `maxBytes`, where those are more, since the first read does not know how
 * large entries are. It never has more than `batchSize` entries. A consumer has several batches in flight, and holds each payload
 * several times over: as read, decoded, as text again, packed for the script, and as garbage.
 *
 * The factors are upper bounds of measurements: JSON of many small members, 256 KiB to 1 MiB each, in three batches. Beside the
 * process itself they took 4 to 7 times the batches, and 2 to 4 times in V8's heap. A payload made to be large when decoded
 * (`[{},{},…]`) can exceed them: what its schema does not refuse is bounded by `maxBytes` alone.
 */
import type { CompiledPipeline } from './compiled.ts'
import { formatQuantity, parseQuantity } from './quantity.ts'
import { standardResources } from './schema/consumer.ts'
import type { ConsumerSpec } from './schema/pipeline.ts'
import type { Problem } from './validation/problem.ts'

interface MemoryNeed {
  /** Payload bytes of one batch, at most. */
  readonly batchBytes: number
  readonly batches: number
  /** Resident memory of the process, at most. */
  readonly totalBytes: number
  /** V8's old space (`--max-old-space-size`), at least. */
  readonly heapBytes: number
}

const mebi = 2 ** 20
/** A consumer of small payloads at full load, under the image's settings. */
const processBytes = 128 * mebi
/** Old space that the consumer's image sets (build/v8flags.ts). */
export const imageHeapBytes = 96 * mebi
/** Entries of the first read, when nothing is known of their size. */
const firstReadEntries = 16
const residentFactor = 8
const heapFactor = 4

export function memoryNeed({ source, payload }: Pick<CompiledPipeline, 'source' | 'payload'>): MemoryNeed {
  const { batchSize, inFlightBatches: batches } = source
  const expected = Math.max(source.batchBytes, Math.min(batchSize, firstReadEntries) * payload.maxBytes)
  const batchBytes = Math.min(batchSize * payload.maxBytes, expected)
  const held = batches * batchBytes
  return {
    batchBytes,
    batches,
    totalBytes: wholeMebi(processBytes + residentFactor * held),
    heapBytes: wholeMebi(Math.max(imageHeapBytes, heapFactor * held)),
  }
}

const wholeMebi = (bytes: number) => Math.ceil(bytes / mebi) * mebi

/** `up to 224Mi of memory: 128Mi, and 8 times what 3 batches of up to 4Mi hold`. */
export function describeMemory({ batchBytes, batches, totalBytes }: MemoryNeed): string {
  const held = `${batches} ${batches === 1 ? 'batch' : 'batches'} of up to ${rounded(batchBytes)}`
  return `up to ${formatQuantity(totalBytes)} of memory: ${formatQuantity(processBytes)}, and ${residentFactor} times what ${held} may hold`
}

function rounded(bytes: number): string {
  const unit = bytes >= mebi ? mebi : 1024
  return formatQuantity(Math.ceil(bytes / unit) * unit)
}

/** Settings of a pod that leave too little memory. The API server accepts them, and the consumer would be killed under load. */
export function memoryRemarks(need: MemoryNeed, consumer: ConsumerSpec): readonly Problem[] {
  const less = 'or lower payload.maxBytes, source.batchBytes or source.inFlightBatches'
  const remarks: Problem[] = []
  const limit = parseQuantity(String((consumer.resources ?? standardResources).limits?.memory ?? ''))
  if (limit !== undefined && limit < need.totalBytes) {
    const message = `a consumer may need ${describeMemory(need)}. Write ${formatQuantity(need.totalBytes)}, ${less}`
    remarks.push({ field: 'spec.consumer.resources.limits.memory', message, beyondServer: true })
  }
  const heap = heapGiven(consumer)
  if (heap !== undefined && heap < need.heapBytes) {
    const flags = `--max-semi-space-size=4 --max-old-space-size=${need.heapBytes / mebi}`
    const message = `V8's heap ends at ${formatQuantity(heap)}, and batches in flight may need ${formatQuantity(need.heapBytes)} of it. Write {name: NODE_OPTIONS, value: "${flags}"}, ${less}`
    remarks.push({ field: 'spec.consumer.env', message, beyondServer: true })
  }
  return remarks
}

/** Undefined where it cannot be known: a value from elsewhere. */
function heapGiven({ env, envFrom }: ConsumerSpec): number | undefined {
  const options = env.find(({ name }) => name === 'NODE_OPTIONS')
  if (options === undefined) return envFrom.length === 0 ? imageHeapBytes : undefined
  const megabytes = /--max[-_]old[-_]space[-_]size=(\d+)/.exec(options.value ?? '')?.[1]
  return megabytes === undefined ? undefined : Number(megabytes) * mebi
}
