/**
 * A release made twice: equal bytes, and files that helm, sha256sum, openssl and gpg take. The commands are those that
 * docs/release.md prints.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'
import { makeRelease } from '../../../build/release.ts'
import { imageNames } from '../../../build/v8flags.ts'
import { shellBlocks } from '../../support/page.ts'
import { run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'
import { helm, helmProgram, needsHelm } from '../chart/chart.ts'
import { writeBase } from './base.ts'

const there = (program: string) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
const source = 'https://git.example.com/you/streampipeline'
const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { version: string }
const chart = `streampipeline-operator-${version}.tgz`
const withoutImages = [
  'SHA256SUMS',
  'artifacthub-repo.yml',
  'consumer.cdx.json',
  'operator.cdx.json',
  'provenance.intoto.json',
  chart,
  `streampipeline-${version}.tgz`,
  'streampipelines.yaml',
]

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-release-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  return folder
}

/** Makes it twice, under another umask and at another second, and compares. */
async function twice(t: TestContext, options: { images: boolean; env: NodeJS.ProcessEnv }) {
  const parent = await newFolder(t)
  const [first, second] = [join(parent, 'first'), join(parent, 'second')]
  const names = await makeRelease({ folder: first, ...options })
  // Files with the time of their making in them would differ.
  await sleep(1_100)
  const umask = process.umask(0o077)
  try {
    assert.deepEqual(await makeRelease({ folder: second, ...options }), names)
  } finally {
    process.umask(umask)
  }
  for (const name of names)
    assert.ok((await readFile(join(first, name))).equals(await readFile(join(second, name))), `${name} differs`)
  return { folder: first, names }
}

const builder = there('buildah')

test('two releases of one commit are equal, byte by byte, and whole', { skip: needsHelm.skip, timeout: 400_000 }, async (t) => {
  const env = { ...process.env, SOURCE: source, REPOSITORY: 'localhost/release' }
  const { folder, names } = await twice(
    t,
    builder ? { images: true, env: { ...env, BASE: await writeBase(t) } } : { images: false, env },
  )
  assert.deepEqual(names, [...withoutImages, ...(builder ? ['consumer.tar', 'operator.tar'] : [])].sort())

  await t.test('helm takes the chart, which names the repository', async (part) => {
    const rendered = await helm(part, 'template', 'test', join(folder, chart))
    assert.equal(rendered.code, 0, rendered.stderr)
    const manifest = parse((await helm(part, 'show', 'chart', join(folder, chart))).stdout) as Record<string, unknown>
    assert.deepEqual([manifest['home'], manifest['sources']], [source, [source]])
  })

  await t.test('the provenance names commit and files with their checksums', async () => {
    const { subject, predicate } = JSON.parse(await readFile(join(folder, 'provenance.intoto.json'), 'utf8')) as Statement
    const sums = await readFile(join(folder, 'SHA256SUMS'), 'utf8')
    assert.equal(subject.map(({ name, digest }) => `${digest.sha256}  ${name}\n`).join(''), sums)
    const [made] = predicate.buildDefinition.resolvedDependencies
    const head = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: projectRoot, encoding: 'utf8' }).trim()
    assert.deepEqual(made, { uri: `git+${source}`, digest: { gitCommit: head } })
  })

  await t.test(
    'the images hold the bundle with its bill, and the time of the commit',
    { skip: !builder && 'no buildah on PATH: apt-get install buildah' },
    async (part) => {
      for (const name of imageNames) await inspected(part, folder, name)
    },
  )

  await t.test('the commands of docs/release.md sign it, and find each change', async (part) => await signed(part, folder))
})

interface Statement {
  readonly subject: readonly { readonly name: string; readonly digest: { readonly sha256: string } }[]
  readonly predicate: {
    readonly buildDefinition: {
      readonly resolvedDependencies: readonly { readonly uri?: string; readonly digest: { readonly gitCommit?: string } }[]
    }
  }
}

/** Takes the archive of an image apart, as a registry would. */
async function inspected(t: TestContext, folder: string, name: string): Promise<void> {
  const content = join(await newFolder(t), name)
  await mkdir(content)
  const archive = join(folder, `${name}.tar`)
  const read = (file: string) => execFileSync('tar', ['-xOf', archive, file], { maxBuffer: 2 ** 28 })
  const [image] = JSON.parse(read('manifest.json').toString()) as [{ Config: string; Layers: string[]; RepoTags: string[] }]
  assert.deepEqual(image.RepoTags, [`localhost/release/${name}:${version}`])
  execFileSync('tar', ['-xf', '-', '-C', content], { input: read(image.Layers.at(-1) ?? '') })
  const [within, beside] = [join(content, 'app', 'sbom.cdx.json'), join(folder, `${name}.cdx.json`)]
  assert.ok((await readFile(within)).equals(await readFile(beside)), `the bill of ${name}`)
  const { code, stdout } = await run(t, [join(content, 'app', 'bin', `${name}.mjs`), '--version'], {})
  assert.deepEqual([code, stdout.trim()], [0, version])
  const made = JSON.parse(read(image.Config).toString()) as {
    created: string
    config: { User: string; Labels: Record<string, string> }
  }
  const committed = execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: projectRoot, encoding: 'utf8' }).trim()
  assert.equal(Date.parse(made.created) / 1_000, Number(committed))
  assert.equal(made.config.User, '65532:65532')
  assert.equal(made.config.Labels['org.opencontainers.image.source'], source)
  assert.doesNotMatch(JSON.stringify(made.config.Labels), /buildah/)
}

/** Runs the blocks of "Signing" as a reader would, with keys made for it. */
async function signed(t: TestContext, folder: string): Promise<void> {
  const [keys = '', sign = '', verify = '', ...others] = await shellBlocks('release.md', 'Signing')
  assert.deepEqual(others, [])
  const home = await mkdtemp(join(tmpdir(), 'gnupg-'))
  await chmod(home, 0o700)
  const path = [dirname(helmProgram ?? ''), process.env['PATH']].join(delimiter)
  const shell = async (script: string) =>
    await run(t, ['-e', '-o', 'pipefail', '-c', script], {
      command: 'bash',
      cwd: folder,
      env: { PATH: path, GNUPGHOME: home, VERSION: version },
    })
  t.after(async () => {
    spawnSync('gpgconf', ['--kill', 'all'], { env: { ...process.env, GNUPGHOME: home } })
    await rm(home, { recursive: true, force: true })
  })
  for (const block of [keys, sign, verify]) {
    const { code, stdout, stderr } = await shell(block)
    assert.equal(code, 0, `${block}\n${stdout}${stderr}`)
  }
  for (const changed of [chart, 'SHA256SUMS', 'provenance.intoto.json', 'streampipelines.yaml']) {
    const content = await readFile(join(folder, changed))
    await writeFile(join(folder, changed), Buffer.concat([content, Buffer.from('\n')]))
    assert.notEqual((await shell(verify)).code, 0, `${changed} was changed, and nobody noticed`)
    await writeFile(join(folder, changed), content)
  }
  assert.equal((await shell(verify)).code, 0)
}

test('a release with images wants the base image by digest', async () => {
  await assert.rejects(makeRelease({ folder: '/nonexistent', images: true, env: { BASE: 'node:24' } }), /by its digest/)
})

test('a release refuses a variable that it cannot use, by name', async () => {
  const folder = '/nonexistent'
  for (const [name, value] of [
    ['SOURCE', 'git@example.com:you/x'],
    ['ARTIFACTHUB_REPOSITORY_ID', 'mine'],
  ] as const)
    await assert.rejects(makeRelease({ folder, images: false, env: { [name]: value } }), new RegExp(name))
})
