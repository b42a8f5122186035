/**
 * `npm run release`: everything of a release in one folder, `.cache/release`: chart package, image archives, npm tarball, CRD, bills of
 * materials, checksums and provenance. The same commit gives the same bytes: no file holds the time of its making, but that of the commit.
 *
 *   BASE          base image, with its digest: `gcr.io/distroless/nodejs24-debian12@sha256:…`
 *   REPOSITORY    prefix of the images' names, as `npm run images` has it
 *   --no-images   leaves the images out; then neither BASE nor buildah is needed
 *   --to FOLDER   another folder
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { bundleAll, bundleFolder } from './bundle.ts'
import { buildImages } from './images.ts'
import { provenance } from './provenance.ts'
import { root } from './root.ts'
import { imageNames } from './v8flags.ts'

const chart = 'streampipeline-operator'
const digested = /@sha256:[0-9a-f]{64}$/

const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')

export interface ReleaseOptions {
  readonly folder: string
  readonly images: boolean
  readonly env: NodeJS.ProcessEnv
}

/** helm stamps a package with the time of its making; a package made by tar is the same to it. */
function packChart(folder: string, version: string, epoch: string): void {
  const options = [
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--format=ustar',
    '--mode=u=rw,go=r,a+X',
  ]
  const excluded = ['--exclude=.helmignore']
  const tar = execFileSync('tar', ['-C', join(root, 'charts'), ...options, ...excluded, '-cf', '-', chart], {
    maxBuffer: 2 ** 26,
  })
  writeFileSync(join(folder, `${chart}-${version}.tgz`), gzipSync(tar, { level: 9 }))
}

function packNpm(folder: string, env: NodeJS.ProcessEnv): void {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: root,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

async function packImages(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  for (const { archive } of await buildImages(env)) {
    const name = archive.slice(archive.lastIndexOf('/') + 1)
    copyFileSync(archive, join(folder, name))
  }
}

/**
 * Makes the release and returns the names of its files.
 * @throws Error where images are wanted and BASE names no digest, or files of the clone are not committed
 */
export async function makeRelease({ folder, images, env }: ReleaseOptions): Promise<readonly string[]> {
  const base = env['BASE'] ?? ''
  if (images && !digested.test(base)) throw new Error('BASE must name the base image by its digest: …@sha256:…')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const epoch = git('log', '-1', '--format=%ct')
  const dated = { ...env, SOURCE_DATE_EPOCH: epoch }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  packChart(folder, version, epoch)
  packNpm(folder, dated)
  copyFileSync(join(root, 'crds', 'streampipelines.yaml'), join(folder, 'streampipelines.yaml'))
  if (images) await packImages(folder, dated)
  else await bundleAll()
  for (const name of imageNames) copyFileSync(join(bundleFolder, name, 'sbom.cdx.json'), join(folder, `${name}.cdx.json`))

  const subjects = readdirSync(folder)
    .sort()
    .map((name) => ({ name, sha256: sha256(readFileSync(join(folder, name))) }))
  writeFileSync(join(folder, 'SHA256SUMS'), subjects.map(({ name, sha256: sum }) => `${sum}  ${name}\n`).join(''))
  const statement = provenance({
    subjects,
    version,
    revision: git('rev-parse', 'HEAD'),
    lockfile: sha256(readFileSync(join(root, 'package-lock.json'))),
    base: images ? base : undefined,
    node: process.version,
    builder: env['BUILDER_ID'] ?? 'https://streampipeline.dev/builders/local',
  })
  writeFileSync(join(folder, 'provenance.intoto.json'), `${JSON.stringify(statement, undefined, 2)}\n`)
  return readdirSync(folder).sort()
}

if (import.meta.main) {
  const { values } = parseArgs({
    allowNegative: true,
    options: { images: { type: 'boolean', default: true }, to: { type: 'string' } },
  })
  const folder = values.to ?? join(root, '.cache', 'release')
  try {
    const uncommitted = git('status', '--porcelain')
    if (uncommitted !== '') throw new Error(`a release is made of a commit; these files differ from it:\n${uncommitted}`)
    for (const name of await makeRelease({ folder, images: values.images, env: process.env })) console.log(join(folder, name))
  } catch (thrown) {
    console.error(thrown instanceof Error ? thrown.message : thrown)
    process.exitCode = 1
  }
}
