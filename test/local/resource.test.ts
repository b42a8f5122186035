import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { StreamPipelineError } from '../../api/errors.ts'
import { loadResource, writeResource } from '../../local/resource.ts'
import type { Scope } from '../support/scope.ts'

async function folder(t: Scope): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'streampipeline-resource-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

const document = (name: string, redis: string) => `apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {name: ${name}}
spec:
  redis: ${redis}
  source: {stream: jobs, group: g}
  sink: {bullmq: {queue: q, redis: {url: "redis://queue:6379"}}}
`

test('a private Redis replaces every way to Redis, and the file that consumers get says the same, to this user alone', async (t) => {
  const path = await folder(t)
  const file = join(path, 'given.yaml')
  await writeFile(file, document('one', '{urlFrom: {secretKeyRef: {name: auth, key: url}}}'))
  const { resource, pipeline } = await loadResource(file, undefined, { url: 'redis://127.0.0.1:7777' })
  assert.deepEqual(pipeline.redis, { kind: 'Url', url: 'redis://127.0.0.1:7777' })
  assert.equal(pipeline.sink.redis, undefined)
  const written = await writeResource(resource, path)
  assert.equal((await stat(written)).mode & 0o777, 0o600)
  assert.deepEqual((await loadResource(written)).pipeline, pipeline)
})

test('one of several is chosen by name, and must be', async (t) => {
  const file = join(await folder(t), 'two.yaml')
  await writeFile(file, ['one', 'two'].map((name) => document(name, '{url: "redis://r:1"}')).join('---\n'))
  assert.equal((await loadResource(file, 'two')).pipeline.name, 'two')
  for (const name of [undefined, 'three']) {
    await assert.rejects(
      loadResource(file, name),
      (thrown) => thrown instanceof StreamPipelineError && /one, two/.test(thrown.message),
    )
  }
})
