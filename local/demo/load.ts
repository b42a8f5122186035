/**
 * The demo's input: requests for vegetation-index (NDVI) runs as a farm API would get them. Most are new work. Some repeat earlier
 * work: the same request_hash with a new job_id, as after a second click or a client's retry. A few are broken, as those of real
 * producers are. Pure, and the same for the same seed.
 */
import { createHash } from 'node:crypto'

export interface NdviRequest {
  readonly job_id: number
  /** SHA-256 of the requested work: equal work, equal hash. */
  readonly request_hash: string
  readonly farm_id: number
  readonly engine: string
  readonly job_type: string
  /** Seconds since 1970. */
  readonly enqueue_timestamp: number
}

export type Offer =
  | { readonly kind: 'Request'; readonly request: NdviRequest }
  /** Fields that no dispatcher would let through, as a program without one adds them. */
  | { readonly kind: 'Broken'; readonly fields: Readonly<Record<string, string>> }

const engines = ['sentinel-hub', 'earth-engine', 'local-raster'] as const
const jobTypes = ['ndvi_current', 'ndvi_timeseries', 'ndvi_raster'] as const

const repeatShare = 0.06
const brokenShare = 0.01
/** How far back a request is repeated. */
const memory = 500

interface Load {
  /** @param nowMs milliseconds since 1970 */
  next(nowMs: number): Offer
}

export function createLoad(seed: number): Load {
  const random = randomFrom(seed)
  const recent: NdviRequest[] = []
  let jobs = 0

  function fresh(nowMs: number): NdviRequest {
    const wanted = { farm_id: 1 + Math.floor(random() * 5_000), engine: pick(engines, random), job_type: pick(jobTypes, random) }
    // The month asked about; with seed and sequence number no two fresh requests are equal, nor those of two runs.
    const month = `${2_016 + Math.floor(random() * 10)}-${1 + Math.floor(random() * 12)}/${seed}.${jobs}`
    const request_hash = createHash('sha256')
      .update(JSON.stringify([wanted, month]))
      .digest('hex')
    return { job_id: jobs, request_hash, ...wanted, enqueue_timestamp: nowMs / 1000 }
  }

  return {
    next(nowMs) {
      jobs++
      const chance = random()
      const repeated = chance < repeatShare ? recent[Math.floor(random() * recent.length)] : undefined
      if (repeated !== undefined)
        return { kind: 'Request', request: { ...repeated, job_id: jobs, enqueue_timestamp: nowMs / 1000 } }
      const request = fresh(nowMs)
      if (chance > 1 - brokenShare) return { kind: 'Broken', fields: pick(breakages, random)(textOf(request)) }
      recent.push(request)
      if (recent.length > memory) recent.shift()
      return { kind: 'Request', request }
    },
  }
}

type Fields = Readonly<Record<string, string>>

const breakages: readonly ((fields: Fields) => Fields)[] = [
  ({ request_hash: _, ...rest }) => rest,
  (fields) => ({ ...fields, engine: 'spectrometer-9000' }),
  (fields) => ({ ...fields, farm_id: 'north meadow' }),
  (fields) => ({ ...fields, request_hash: 'null' }),
  (fields) => ({ ...fields, notes: 'x'.repeat(20_000) }),
]

const textOf = (request: NdviRequest): Fields =>
  Object.fromEntries(Object.entries(request).map(([name, value]) => [name, String(value)]))

function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new RangeError('nothing to pick from')
  return item
}

/** mulberry32: 32 bits of state, plenty for a demo. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
