/** The pipeline of a file, ready to run here: chosen, checked, compiled, and written out for the consumers. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { compilePipeline } from '../api/compile.ts'
import type { CompiledPipeline } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { readPipelines } from '../api/files.ts'
import type { StreamPipeline } from '../api/schema/pipeline.ts'
import type { RedisSpec } from '../api/schema/redis.ts'
import { parsePipeline } from '../api/validate.ts'

export interface LocalResource {
  readonly resource: StreamPipeline
  readonly pipeline: CompiledPipeline
}

/** `--from`: whether entries that are in the stream already are forwarded. */
export type StartFrom = 'beginning' | 'now'

/**
 * @param name the pipeline, if the file holds several
 * @param redis replaces the resource's way to Redis
 * @param start replaces the start of a group that has never read
 * @throws UnreadableFile, InvalidPipeline, InvalidOption
 */
export async function loadResource(file: string, name?: string, redis?: RedisSpec, start?: StartFrom): Promise<LocalResource> {
  const resources = (await readPipelines(file)).map(({ document }) => parsePipeline(document))
  const named = name === undefined ? resources : resources.filter(({ metadata }) => metadata.name === name)
  const [chosen] = named
  if (chosen === undefined || named.length > 1) {
    const names = resources.map(({ metadata }) => metadata.name).join(', ')
    throw failure('InvalidOption', { option: '--name', detail: `${file} holds ${names}; name one of them` })
  }
  const begun = start === undefined ? chosen : from(chosen, start)
  const resource = redis === undefined ? begun : at(begun, redis)
  return { resource, pipeline: compilePipeline(resource) }
}

function from(resource: StreamPipeline, start: StartFrom): StreamPipeline {
  const startFrom = start === 'beginning' ? 'Beginning' : 'End'
  return { ...resource, spec: { ...resource.spec, source: { ...resource.spec.source, startFrom } } }
}

/** The queue is in the private Redis, too. */
function at(resource: StreamPipeline, redis: RedisSpec): StreamPipeline {
  const { redis: _, ...bullmq } = resource.spec.sink.bullmq
  return { ...resource, spec: { ...resource.spec, redis, sink: { ...resource.spec.sink, bullmq } } }
}

/** Writes the resource where only this user reads it. @returns the file's path */
export async function writeResource(resource: StreamPipeline, folder: string): Promise<string> {
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, stringify(resource, { version: '1.1' }), { mode: 0o600 })
  return file
}

/** How a resource names the private Redis: no `url` leads to a Unix socket. */
export const privateRedisSpec: RedisSpec = { urlFrom: { secretKeyRef: { name: 'private-redis', key: 'url' } } }

/** Writes the folder of references that goes with `privateRedisSpec`. @returns its path */
export async function writePrivateReference(url: string, folder: string): Promise<string> {
  const refs = join(folder, 'refs')
  const secret = join(refs, 'secret', 'private-redis')
  await mkdir(secret, { recursive: true, mode: 0o700 })
  await writeFile(join(secret, 'url'), url, { mode: 0o600 })
  return refs
}
