import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RedisTarget, Reference } from '../../../api/compiled.ts'
import { StreamPipelineError } from '../../../api/errors.ts'
import { directoryReader, resolveTarget } from '../../../redis/connect/references.ts'

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

test('a missing reference is reported with the field that refers to it', async () => {
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

/** A folder of references beside files that no reference may reach. */
async function besides(t: { after(hook: () => Promise<void>): void }) {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-refs-'))
  t.after(() => rm(folder, { recursive: true }))
  const refs = join(folder, 'refs')
  await mkdir(join(refs, 'secret', 'redis'), { recursive: true })
  await mkdir(join(folder, 'elsewhere'))
  await writeFile(join(folder, 'outside'), 'not yours')
  await writeFile(join(folder, 'elsewhere', 'password'), 'not yours')
  await writeFile(join(refs, 'direct'), 'not yours')
  return { folder, refs, read: directoryReader(refs) }
}

/** It names the field and the reason. The file's content is nowhere. */
const refused = (why: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof StreamPipelineError && thrown.code === 'ReferenceMissing', String(thrown))
  assert.match(thrown.advice, /spec\.redis\.passwordFrom/)
  assert.match(thrown.message, why)
  assert.ok(!thrown.advice.includes('not yours'))
  return true
}

const odd = [
  '..',
  '.',
  '../..',
  '/',
  '/etc',
  '//',
  'a/../../..',
  '..%2f..',
  '%2e%2e',
  '%2f',
  '..\\..',
  '__proto__',
  'a\0b',
  '\0',
  '',
  ' ',
  'a\n',
  '․․',
  'A',
]

test('no name and no key of a reference leads out of the folder', async (t) => {
  const { read, refs, folder } = await besides(t)
  const keys = [
    ...odd.filter((text) => !/^(__proto__|%2f|A)$/.test(text)),
    '../../../outside',
    `${folder}/outside`,
    '..data',
    '%2f',
  ]
  for (const name of [...odd, '../..', '..', `../../..${folder}`]) {
    await assert.rejects(read(secret(name, 'outside')), refused(/no object can have that name or key/), JSON.stringify(name))
  }
  for (const key of keys) {
    await assert.rejects(read(secret('redis', key)), refused(/no object can have that name or key/), JSON.stringify(key))
  }
  for (const key of ['__proto__', 'constructor', '.hidden', 'ca.crt', 'a_B-1']) {
    await writeFile(join(refs, 'secret', 'redis', key), key)
    assert.equal(await read(secret('redis', key)), key, 'keys like others')
  }
})

test('a link that leads out of the folder is refused; the links that the kubelet makes are followed', async (t) => {
  const { read, refs, folder } = await besides(t)
  const redis = join(refs, 'secret', 'redis')
  await symlink(join(folder, 'outside'), join(redis, 'absolute'))
  await symlink('../../../outside', join(redis, 'relative'))
  await symlink('relative', join(redis, 'twice'))
  await symlink(join(folder, 'elsewhere'), join(refs, 'secret', 'linked'))
  for (const [name, key] of [
    ['redis', 'absolute'],
    ['redis', 'relative'],
    ['redis', 'twice'],
    ['linked', 'password'],
  ] as const) {
    await assert.rejects(read(secret(name, key)), refused(/leads out of .*put the file itself there/), `${name}/${key}`)
  }
  // As a volume of a Secret looks.
  await mkdir(join(redis, '..2026_11_29'))
  await writeFile(join(redis, '..2026_11_29', 'password'), 'mounted')
  await symlink('..2026_11_29', join(redis, '..data'))
  await symlink('..data/password', join(redis, 'password'))
  assert.equal(await read(secret('redis', 'password')), 'mounted')
  // The folder itself may be a link.
  await symlink(refs, join(folder, 'link'))
  assert.equal(await directoryReader(join(folder, 'link'))(secret('redis', 'password')), 'mounted')
  // A neighbour whose name begins alike is outside.
  await mkdir(join(folder, 'refs-other'))
  await writeFile(join(folder, 'refs-other', 'x'), 'not yours')
  await symlink(join(folder, 'refs-other', 'x'), join(redis, 'neighbour'))
  await assert.rejects(read(secret('redis', 'neighbour')), refused(/leads out of/))
})

test('what is no file of a value is refused at once: a folder, a pipe, a device, a gigabyte', async (t) => {
  const { read, refs } = await besides(t)
  const redis = join(refs, 'secret', 'redis')
  await mkdir(join(redis, 'folder'))
  execFileSync('mkfifo', [join(redis, 'pipe')])
  execFileSync('truncate', ['-s', '1G', join(redis, 'large')])
  await assert.rejects(read(secret('redis', 'folder')), refused(/is no regular file/))
  await assert.rejects(read(secret('redis', 'pipe')), refused(/is no regular file/))
  await assert.rejects(read(secret('redis', 'large')), refused(/1073741824 bytes; a value has 1048576 at most/))
  await symlink('/dev/zero', join(redis, 'device'))
  await assert.rejects(read(secret('redis', 'device')), refused(/leads out of/))
  await assert.rejects(read(secret('redis', 'absent')), refused(/cannot be read/))
})

test('a Unix socket is named by files of this machine alone', async (t) => {
  const { read, refs } = await besides(t)
  await writeFile(join(refs, 'secret', 'redis', 'url'), 'unix:///run/my%20redis.sock\n')
  const target: RedisTarget = { kind: 'UrlFrom', from: secret('redis', 'url') }
  const found = await resolveTarget(target, read)
  assert.deepEqual([found.kind, found.label], ['Server', 'unix:///run/my redis.sock'])
  assert.ok(found.kind === 'Server' && found.socket === '/run/my redis.sock')
  // Read as the operator reads it: a tenant's Secret chooses no socket in the operator's pod.
  await assert.rejects(
    resolveTarget(target, async () => 'unix:///run/redis.sock'),
    /InvalidReference|cannot be used/,
  )
  await assert.rejects(resolveTarget({ kind: 'Url', url: 'unix:///run/redis.sock' }, read), /must have the form/)
})

test('a folder that becomes a link while it is read leads nowhere else', async (t) => {
  const { read, refs, folder } = await besides(t)
  const place = join(refs, 'secret', 'redis')
  await writeFile(join(place, 'password'), 'mine')
  const link = join(folder, 'link')
  const spare = join(folder, 'spare')
  // Another program swaps the folder for a link, and back.
  const text = `
    const { renameSync, symlinkSync, unlinkSync } = require('node:fs')
    const [place, link, spare, elsewhere] = process.argv.slice(1)
    for (;;) {
      symlinkSync(elsewhere, link)
      renameSync(place, spare)
      renameSync(link, place)
      unlinkSync(place)
      renameSync(spare, place)
    }`
  const swapping = spawn(process.execPath, ['--eval', text, '--', place, link, spare, join(folder, 'elsewhere')])
  const found = new Map<string, number>()
  try {
    for (const untilMs = performance.now() + 2_000; performance.now() < untilMs; ) {
      const texts = Array.from({ length: 20 }, () => read(secret('redis', 'password')).catch(() => 'refused'))
      for (const each of await Promise.all(texts)) found.set(each, (found.get(each) ?? 0) + 1)
    }
  } finally {
    // Before the folder is removed, in which it works.
    swapping.kill('SIGKILL')
    await once(swapping, 'exit')
  }
  assert.ok((found.get('mine') ?? 0) > 0 && (found.get('refused') ?? 0) > 0, JSON.stringify([...found]))
  assert.equal(found.get('not yours'), undefined)
})
