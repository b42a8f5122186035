/** The pipeline of a file, ready to run here: chosen, checked, compiled, and written out for the consumers. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { compilePipeline } from '../api/compile.ts'
import type { CompiledPipeline } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { readPipelines } from '../api/files.ts'
import type { StreamPipeline } from '../api/schema/pipeline.ts'
import { parsePipeline } from '../api/validate.ts'

interface LocalResource {
  readonly resource: StreamPipeline
  readonly pipeline: CompiledPipeline
}

/**
 * @param name which pipeline, where the file holds several
 * @param redisUrl replaces whatever way to Redis the resource names
 * @throws UnreadableFile, InvalidPipeline, InvalidOption
 */
export async function loadResource(file: string, name?: string, redisUrl?: string): Promise<LocalResource> {
  const resources = (await readPipelines(file)).map(({ document }) => parsePipeline(document))
  const named = name === undefined ? resources : resources.filter(({ metadata }) => metadata.name === name)
  const [chosen] = named
  if (chosen === undefined || named.length > 1) {
    const names = resources.map(({ metadata }) => metadata.name).join(', ')
    throw failure('InvalidOption', { option: '--name', detail: `${file} holds ${names}; name one of them` })
  }
  const resource = redisUrl === undefined ? chosen : at(chosen, redisUrl)
  return { resource, pipeline: compilePipeline(resource) }
}

/** The queue comes along: where one private Redis is asked for, everything lives in it. */
function at(resource: StreamPipeline, url: string): StreamPipeline {
  const { redis: _, ...bullmq } = resource.spec.sink.bullmq
  return { ...resource, spec: { ...resource.spec, redis: { url }, sink: { ...resource.spec.sink, bullmq } } }
}

/** Writes the resource where only this user reads it. @returns the file's path */
export async function writeResource(resource: StreamPipeline, folder: string): Promise<string> {
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, stringify(resource, { version: '1.1' }), { mode: 0o600 })
  return file
}
