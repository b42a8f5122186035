import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RedisTarget, Reference } from '../../api/compiled.ts'
import { StreamPipelineError } from '../../api/errors.ts'
import { directoryReader, resolveTarget } from '../../redis/connect/references.ts'
import { oddKeys, oddNames } from '../api/table/invalid.ts'

const none = directoryReader(undefined)
const secret = (name: string, key: string): Reference => ({ kind: 'Secret', name, key, field: 'spec.redis.passwordFrom' })

const forms = [
  ['redis://h', { host: 'h', port: 6379, database: 0, label: 'h:6379' }],
  ['redis://h:1234/5', { host: 'h', port: 1234, database: 5 }],
  ['redis://user:p%40ss@h:1/', { username: 'user', password: 'p@ss', label: 'h:1' }],
  ['redis://:only@h', { username: undefined, password: 'only' }],
  ['rediss://h', { tls: {} }],
  ['redis://[::1]:7000/1', { host: '::1', port: 7000, database: 1 }],
] as const

for (const [url, expected] of forms) {
  test(`${url} is understood`, async () => {
    const found = await resolveTarget({ kind: 'Url', url }, none)
    assert.equal(found.kind, 'Server')
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(Reflect.get(found, name), value, name)
  })
}

for (const url of ['', 'h:6379', 'http://h', 'redis:///1', 'redis://h/x', 'redis://h/123456', 'redis://u:p%E0@h']) {
  test(`${JSON.stringify(url)} is refused by name, without showing it`, async () => {
    await assert.rejects(resolveTarget({ kind: 'Url', url }, none), (thrown) => {
      assert.ok(thrown instanceof StreamPipelineError)
      assert.equal(thrown.code, 'InvalidOption')
      assert.match(thrown.message, /^spec\.redis\.url: it must have the form redis:/)
      return true
    })
  })
}

test('mounted values are read; an editor’s last newline is not part of a password', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-refs-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'secret', 'redis'), { recursive: true })
  await mkdir(join(folder, 'configmap', 'redis'), { recursive: true })
  await writeFile(join(folder, 'secret', 'redis', 'password'), ' p ss\r\n')
  await writeFile(join(folder, 'secret', 'redis', 'url'), 'redis://u:in-url@h:1/2\n')
  await writeFile(join(folder, 'configmap', 'redis', 'ca'), 'PEM\nPEM\n')
  const read = directoryReader(folder)
  const target: RedisTarget = {
    kind: 'UrlFrom',
    from: secret('redis', 'url'),
    password: secret('redis', 'password'),
    tls: { ca: { kind: 'ConfigMap', name: 'redis', key: 'ca', field: 'spec.redis.tls.caFrom' }, serverName: 's' },
  }
  const found = await resolveTarget(target, read)
  assert.deepEqual(
    [found.username, found.password, found.label, found.tls?.ca, found.tls?.serverName],
    ['u', ' p ss', 'h:1', 'PEM\nPEM', 's'],
  )
  await writeFile(join(folder, 'secret', 'redis', 'url'), 'redis-secret-host:6379')
  await assert.rejects(resolveTarget(target, read), (thrown) => {
    assert.ok(thrown instanceof StreamPipelineError && thrown.code === 'InvalidReference', String(thrown))
    assert.ok(!thrown.advice.includes('redis-secret-host'))
    return true
  })
})

test('a missing reference is told with the field that refers to it', async () => {
  for (const reader of [none, directoryReader('/nonexistent')]) {
    const target: RedisTarget = { kind: 'Cluster', nodes: [{ host: 'h', port: 1 }], password: secret('redis', 'password') }
    await assert.rejects(resolveTarget(target, reader), (thrown) => {
      assert.ok(thrown instanceof StreamPipelineError && thrown.code === 'ReferenceMissing')
      assert.match(thrown.message, /Secret redis \(key password\), which spec\.redis\.passwordFrom refers to/)
      return true
    })
  }
})

test('Sentinel and Cluster keep their nodes and have labels fit to show', async () => {
  const nodes = [
    { host: 'a', port: 1 },
    { host: 'b', port: 2 },
  ]
  const sentinel = await resolveTarget({ kind: 'Sentinel', master: 'm', nodes, database: 3 }, none)
  assert.deepEqual([sentinel.kind, sentinel.label], ['Sentinel', 'm (Sentinel a:1,b:2)'])
  const cluster = await resolveTarget({ kind: 'Cluster', nodes }, none)
  assert.deepEqual([cluster.kind, cluster.label], ['Cluster', 'a:1,b:2'])
})

test('no name of a reference leads out of the folder', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-refs-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'refs', 'secret', 'redis'), { recursive: true })
  await writeFile(join(folder, 'outside'), 'not yours')
  await writeFile(join(folder, 'refs', 'secret', 'redis', '__proto__'), 'a key like others')
  const read = directoryReader(join(folder, 'refs'))
  for (const name of oddNames) await assert.rejects(read(secret(name, 'outside')), /is missing/, name)
  for (const key of [...oddKeys, '../../../outside']) await assert.rejects(read(secret('redis', key)), /is missing/, key)
  assert.equal(await read(secret('redis', '__proto__')), 'a key like others')
})
