/** The quick start's pipeline at a Redis of the test, as a file, and entries that it takes. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { resourceWith } from '../redis/resource.ts'
import type { Scope } from '../support/scope.ts'

/** @param spec replaces parts of the spec */
export async function pipelineFile(t: Scope, url: string, spec: object = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-file-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'pipeline.json')
  const scaling = { minReplicas: 1, maxReplicas: 1 }
  const payload = { idempotencyKey: ['job_id'] }
  await writeFile(file, JSON.stringify(resourceWith({ url, source: { block: '1s' }, payload, scaling, ...spec })))
  return file
}

let next = 0

/** Adds entries, each of a key of its own. */
export async function addEntries(client: Redis, stream: string, count: number): Promise<void> {
  const pipeline = client.pipeline()
  for (let i = 0; i < count; i++) pipeline.xadd(stream, '*', 'job_id', `job-${next++}`)
  const replies = (await pipeline.exec()) ?? []
  for (const [error] of replies) if (error !== null) throw error
}
