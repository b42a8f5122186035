/** A small pipeline, compiled, with the changes of a test; and its places in Redis. */

import { compilePipeline } from '../../api/compile.ts'
import type { CompiledPayload, CompiledPipeline } from '../../api/compiled.ts'
import { parsePipeline } from '../../api/validate.ts'
import { type StreamPlace, streamPlace } from '../../redis/placement.ts'

export interface SpecChanges {
  readonly url?: string
  readonly mode?: 'Stream' | 'Direct'
  readonly redis?: object
  readonly source?: object
  readonly payload?: object
  readonly reclaim?: object
  readonly delivery?: object
  readonly idempotency?: object
  readonly deadLetter?: object
  readonly sink?: object
  readonly scaling?: object
  readonly consumer?: object
}

/** The document as a person writes it. */
export function resourceWith({ url = 'redis://127.0.0.1:6379', sink, source, redis, ...spec }: SpecChanges = {}) {
  return {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name: 'ndvi' },
    spec: {
      redis: redis ?? { url },
      source: { stream: 'ndvi:jobs', group: 'ndvi', ...source },
      sink: { bullmq: { queue: 'ndvi', ...sink } },
      ...spec,
    },
  }
}

export const pipelineWith = (changes: SpecChanges = {}): CompiledPipeline => compilePipeline(parsePipeline(resourceWith(changes)))

export const payloadWith = (payload: object = {}): CompiledPayload => pipelineWith({ payload }).payload

/** Places that no other test of the file uses. */
export function placeNamed(stream: string, group = 'ndvi'): StreamPlace {
  return streamPlace(pipelineWith({ source: { stream, group } }))
}

export const address = (port: number, more: object = {}) => ({
  kind: 'Server' as const,
  host: '127.0.0.1',
  port,
  database: 0,
  label: `127.0.0.1:${port}`,
  ...more,
})
