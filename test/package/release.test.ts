/** A release made twice: equal bytes, and files that helm, sha256sum and openssl take. Images need a builder and are left out here. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeRelease } from '../../build/release.ts'
import { helm, needsHelm } from '../chart/chart.ts'
import { run } from '../support/process.ts'

test('two releases of one commit are equal, byte by byte, and whole', { skip: needsHelm.skip, timeout: 400_000 }, async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'streampipeline-release-'))
  t.after(async () => await rm(parent, { recursive: true, force: true }))
  const [first, second] = [join(parent, 'first'), join(parent, 'second')]
  const names = await makeRelease({ folder: first, images: false, env: process.env })
  // Files with the time of their making in them would differ.
  await sleep(1_100)
  assert.deepEqual(await makeRelease({ folder: second, images: false, env: process.env }), names)
  for (const name of names)
    assert.ok((await readFile(join(first, name))).equals(await readFile(join(second, name))), `${name} differs`)
  const chart = names.find((name) => /^streampipeline-operator-.*\.tgz$/.test(name)) ?? ''
  assert.deepEqual(
    names,
    [
      'SHA256SUMS',
      'consumer.cdx.json',
      'operator.cdx.json',
      'provenance.intoto.json',
      chart.replace('-operator', ''),
      chart,
      'streampipelines.yaml',
    ].sort(),
  )

  const rendered = await helm(t, 'template', 'test', join(first, chart))
  assert.equal(rendered.code, 0, rendered.stderr)
  const summed = await run(t, ['--check', '--strict', 'SHA256SUMS'], { command: 'sha256sum', cwd: first })
  assert.equal(summed.code, 0, summed.stderr)
  const statement = JSON.parse(await readFile(join(first, 'provenance.intoto.json'), 'utf8')) as {
    subject: readonly { name: string; digest: { sha256: string } }[]
  }
  const sums = await readFile(join(first, 'SHA256SUMS'), 'utf8')
  assert.equal(statement.subject.map(({ name, digest }) => `${digest.sha256}  ${name}\n`).join(''), sums)

  // The commands of docs/release.md, with a key of this machine.
  const openssl = async (...args: string[]) => {
    const { code, stderr } = await run(t, args, { command: 'openssl', cwd: first })
    assert.equal(code, 0, stderr)
  }
  await openssl('genpkey', '-algorithm', 'ed25519', '-out', 'release.key')
  await openssl('pkey', '-in', 'release.key', '-pubout', '-out', 'release.pub')
  await openssl('pkeyutl', '-sign', '-rawin', '-inkey', 'release.key', '-in', 'SHA256SUMS', '-out', 'SHA256SUMS.sig')
  const verify = [
    'pkeyutl',
    '-verify',
    '-rawin',
    '-pubin',
    '-inkey',
    'release.pub',
    '-in',
    'SHA256SUMS',
    '-sigfile',
    'SHA256SUMS.sig',
  ]
  await openssl(...verify)
  await writeFile(join(first, 'SHA256SUMS'), `${sums}0`)
  assert.notEqual((await run(t, verify, { command: 'openssl', cwd: first })).code, 0)
})

test('a release with images wants the base image by digest', async () => {
  await assert.rejects(makeRelease({ folder: '/nonexistent', images: true, env: { BASE: 'node:24' } }), /by its digest/)
})
