/** Specs that a history writes, and what each asks for, read without the operator's code. */
import type { Stored } from './apiserver.ts'

export interface Spec {
  readonly mode: 'Stream' | 'Direct'
  readonly suspend: boolean
  readonly replicas: number
  readonly redis: { readonly url: string; readonly passwordFrom?: object }
  readonly source: { readonly stream: string; readonly group: string }
  readonly sink: { readonly bullmq: { readonly queue: string; readonly maxWaiting: number } }
  readonly payload?: object
  readonly scaling: { readonly policy: 'Active' | 'Manual'; readonly minReplicas: number; readonly maxReplicas: number }
  readonly consumer: { readonly image: string; readonly affinity?: object }
}

/** A spec that holds this text is unsound. */
export const unsoundMark = 'x-unsound'
export const firstSpec: Spec = {
  mode: 'Stream',
  suspend: false,
  replicas: 1,
  redis: { url: 'redis://redis-a:6379/0' },
  source: { stream: 's1', group: 'g' },
  sink: { bullmq: { queue: 'q', maxWaiting: 1_000 } },
  scaling: { policy: 'Active', minReplicas: 1, maxReplicas: 4 },
  consumer: { image: 'consumer:1' },
}

export const specOf = (pipeline: Stored): Spec => pipeline.spec as Spec
export const serverOf = (spec: Spec): string => spec.redis.url.slice('redis://'.length).split(':', 1)[0] ?? ''
export const streamOf = (spec: Spec): string => `${spec.source.stream} ${spec.source.group}`
export const isUnsound = (spec: Spec): boolean => JSON.stringify(spec).includes(unsoundMark)
export const isMisspelt = (spec: Spec): boolean => JSON.stringify(spec.consumer).includes('nodeAfinity')

interface Place {
  readonly server: string
  readonly stream: string
  readonly owner: string
}

/** The place that each configuration file names. They are kept, since a history looks up the same files at every moment. */
const places = new Map<string, Place | undefined>()
const mostPlaces = 1_000

/** The place that a consumer with that configuration file reads from; undefined: it has none. */
export function placeOf(config: string | undefined): Place | undefined {
  if (config === undefined) return undefined
  if (!places.has(config)) {
    if (places.size >= mostPlaces) places.clear()
    places.set(config, readPlace(config))
  }
  return places.get(config)
}

function readPlace(config: string): Place | undefined {
  try {
    const { spec, metadata } = JSON.parse(config) as { spec: Spec; metadata: { uid: string } }
    return { server: serverOf(spec), stream: streamOf(spec), owner: metadata.uid }
  } catch {
    // Another writer spoilt it.
    return undefined
  }
}
