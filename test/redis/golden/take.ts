/**
 * Takes the golden vectors from a release. It needs a checkout of the release with its dependencies:
 *
 *     node test/redis/golden/take.ts CHECKOUT > test/redis/golden/vectors.json
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type GoldenCase, goldenCases } from './cases.ts'

/** Of an entry: the reason why it is a dead letter, or the job's id and its data byte by byte. */
export type Reading = { readonly reason: string; readonly error?: string } | { readonly jobId: string; readonly data: string }

/** Of a payload: that it is refused, or the entry's fields. */
export type Sending = { readonly refused: string } | { readonly entry: readonly string[] }

export interface Taken {
  readonly what: string
  /** The release refuses the resource. */
  readonly refused?: true
  readonly readings: readonly Reading[]
  readonly sendings: readonly Sending[]
}

export interface Release {
  readonly read: (payload: object, entry: readonly Buffer[]) => Reading
  readonly take: (golden: GoldenCase) => Taken
}

type Decoded = { kind: 'Valid'; data: object; hash: string } | { kind: 'Invalid'; reason: string; error: string }
interface Codec {
  decode(flat: readonly Buffer[]): Decoded
  encode(payload: object): string[]
}

export async function loadRelease(root: string): Promise<Release> {
  const load = async (path: string) =>
    (await import(pathToFileURL(resolve(root, path)).href)) as Record<string, (...args: unknown[]) => unknown>
  // 610099e has both in one file.
  const { compilePipeline, ...compiling } = await load('api/compile.ts')
  const parsePipeline = compiling['parsePipeline'] ?? (await load('api/validate.ts'))['parsePipeline']
  const { createCodec } = await load('redis/payload/codec.ts')
  const { jobId, scopeOf } = await load('redis/keys.ts')
  const scope = scopeOf?.('ndvi:jobs', 'ndvi')

  const codecOf = (payload: object): Codec => {
    const document = {
      apiVersion: 'streampipeline.dev/v1alpha1',
      kind: 'StreamPipeline',
      metadata: { name: 'golden' },
      spec: {
        redis: { url: 'redis://127.0.0.1:6379' },
        source: { stream: 'ndvi:jobs', group: 'ndvi' },
        sink: { bullmq: { queue: 'ndvi' } },
        payload,
      },
    }
    const compiled = compilePipeline?.(parsePipeline?.(document)) as { payload: unknown }
    return createCodec?.(compiled.payload) as Codec
  }

  const readBy = (codec: Codec, entry: readonly Buffer[]): Reading => {
    const decoded = codec.decode(entry)
    if (decoded.kind === 'Invalid') return { reason: decoded.reason, error: decoded.error }
    return { jobId: String(jobId?.(scope, decoded.hash)), data: JSON.stringify(decoded.data) }
  }

  return {
    read: (payload, entry) => readBy(codecOf(payload), entry),
    take({ what, payload, entries, dispatched }) {
      let codec: Codec
      try {
        codec = codecOf(payload)
      } catch (thrown) {
        if (thrown instanceof Error && 'code' in thrown && thrown.code === 'InvalidPipeline')
          return { what, refused: true, readings: [], sendings: [] }
        throw thrown
      }
      const bytes = (entry: GoldenCase['entries'][number]) =>
        entry.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part.base64, 'base64')))
      const send = (given: object): Sending => {
        try {
          return { entry: codec.encode(given) }
        } catch (thrown) {
          if (thrown instanceof Error && 'code' in thrown && thrown.code === 'PayloadRejected') return { refused: thrown.message }
          throw thrown
        }
      }
      return { what, readings: entries.map((entry) => readBy(codec, bytes(entry))), sendings: dispatched.map(send) }
    },
  }
}

if (import.meta.main) {
  const { take } = await loadRelease(process.argv[2] ?? '.')
  process.stdout.write(`${JSON.stringify(goldenCases.map(take), undefined, 1)}\n`)
}
