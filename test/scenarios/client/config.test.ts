import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { mountedConfig } from '../../../client/mounted.ts'
import { type DispatchConfig, dispatchConfigOf, dispatchVariable, parseDispatchConfig } from '../../../redis/dispatchconfig.ts'
import { compiled, ndviPipeline } from '../../client/ndvi.ts'

const config = dispatchConfigOf(compiled(ndviPipeline('redis://redis:6379')))

test('what the operator publishes is read back as what the pipeline says', () => {
  const pipelines = [
    ndviPipeline('redis://redis:6379'),
    ndviPipeline('redis://redis:6379', (spec) => {
      spec.mode = 'Direct'
      spec.source = { stream: 'plain', group: 'g' }
      spec.payload = { encoding: 'Json', field: 'body' }
      spec.sink.bullmq = { queue: 'q', redis: { url: 'redis://elsewhere:6379' } }
    }),
  ].map(compiled)
  for (const pipeline of pipelines) {
    const published = JSON.stringify(dispatchConfigOf(pipeline))
    assert.deepEqual(parseDispatchConfig(published), dispatchConfigOf(pipeline))
  }
})

for (const { what, given, message } of [
  { what: 'another version', given: { ...config, version: 2 }, message: /version/ },
  { what: 'a mode that is none', given: { ...config, mode: 'celery' }, message: /mode/ },
  { what: 'a scope of another stream', given: { ...config, stream: 'other' }, message: /scope: does not belong/ },
  { what: 'a queue with a colon', given: { ...config, queue: 'a:b' }, message: /queue: must not contain a colon/ },
  { what: 'no window', given: { ...config, windowMs: undefined }, message: /windowMs/ },
  { what: 'no object', given: '[]', message: /document/ },
  { what: 'no JSON', given: 'mode: Stream', message: /not a JSON document/ },
]) {
  test(`a configuration with ${what} is refused by name`, () => {
    assert.throws(
      () => parseDispatchConfig(given),
      (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'InvalidOption' && message.test(thrown.message),
    )
  })
}

test('fields of a newer operator are let through', () => {
  assert.deepEqual(parseDispatchConfig({ ...config, compression: 'zstd' }), config)
})

async function mount(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-mount-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  let now = 0
  const errors: unknown[] = []
  const read = mountedConfig(
    folder,
    (thrown) => errors.push(thrown),
    () => now,
  )
  return {
    read,
    errors,
    write: (text: string) => writeFile(join(folder, dispatchVariable), text),
    later: (ms: number) => {
      now += ms
    },
  }
}

test('a mounted folder is read again after a while, and an unchanged file gives the same object', async (t) => {
  const { read, write, later } = await mount(t)
  const modes: DispatchConfig['mode'][] = []
  const look = async () => {
    const latest = await read()
    modes.push(latest.mode)
    return latest
  }
  await write(JSON.stringify(config))
  const first = await look()
  await write(JSON.stringify({ ...config, mode: 'Direct' }))
  later(4_000)
  assert.equal(await look(), first)
  later(1_000)
  const [second, third] = await Promise.all([look(), look()])
  assert.equal(second, third)
  later(5_000)
  assert.equal(await look(), second)
  assert.deepEqual(modes, ['Stream', 'Stream', 'Direct', 'Direct', 'Direct'])
})

test('a folder that is not mounted yet says so, and is found when it is there', async (t) => {
  const { read, write } = await mount(t)
  await assert.rejects(read(), (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'UnreadableFile')
  await write(JSON.stringify(config))
  assert.deepEqual(await read(), config)
})

test('a file that was spoilt later leaves the last configuration in force and is reported', async (t) => {
  const { read, write, later, errors } = await mount(t)
  await write(JSON.stringify(config))
  const first = await read()
  await write('{')
  later(5_000)
  assert.equal(await read(), first)
  assert.deepEqual(
    errors.map((error) => error instanceof StreamPipelineError && error.code),
    ['InvalidOption'],
  )
})
