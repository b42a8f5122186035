/**
 * `npm run release`: everything of a release in one folder, `.cache/release`: chart package, image archives, npm tarball, CRD, bills of
 * materials, checksums and provenance. The same commit gives the same bytes: no file holds the time of its making, but that of the commit.
 *
 *   BASE          base image, with its digest: `gcr.io/distroless/nodejs24-debian12@sha256:…`
 *   REPOSITORY    prefix of the images' names, as `npm run images` has it
 *   SOURCE        address of the repository, for chart, images and provenance
 *   BUILDER_ID    who vouches for the build, in the provenance
 *   ARTIFACTHUB_REPOSITORY_ID   for artifacthub-repo.yml
 *   --no-images   leaves the images out; then neither BASE nor buildah is needed
 *   --to FOLDER   another folder
 */
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleAll, bundleFolder } from './bundle.ts'
import { buildImages, findBuilder } from './images.ts'
import { artifactHubFile, artifactHubRepository } from './release/artifacthub.ts'
import { packChart } from './release/chartpackage.ts'
import { packNpm } from './release/npmpackage.ts'
import { provenance } from './release/provenance.ts'
import { sourceOf, uncommitted } from './release/source.ts'
import { root } from './root.ts'
import { imageNames } from './v8flags.ts'

const digested = /@sha256:[0-9a-f]{64}$/

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')

interface ReleaseOptions {
  readonly folder: string
  readonly images: boolean
  readonly env: NodeJS.ProcessEnv
}

async function packImages(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  for (const { archive } of await buildImages(env)) copyFileSync(archive, join(folder, basename(archive)))
}

/** A tag may be moved to another image between two builds, and docker gives layers the time of the build. */
function demandFixedImages(base: string, env: NodeJS.ProcessEnv): void {
  if (!digested.test(base)) throw new Error('BASE must name the base image by its digest: …@sha256:…')
  if (findBuilder(env) === undefined)
    throw new Error('the images of a release need buildah, which makes the same bytes each time: apt-get install -y buildah')
}

/**
 * Makes the release and returns the names of its files.
 * @throws Error where images are wanted and BASE names no digest, or there is no buildah; where a variable has another form
 */
export async function makeRelease({ folder, images, env }: ReleaseOptions): Promise<readonly string[]> {
  const base = env['BASE'] ?? ''
  const source = sourceOf(env)
  const dated = { ...env, SOURCE_DATE_EPOCH: source.epoch, BUILDER: 'buildah' }
  const artifactHub = artifactHubRepository(env)
  if (images) demandFixedImages(base, dated)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  packChart(folder, version, source)
  packNpm(folder, version, source.epoch, dated)
  copyFileSync(join(root, 'crds', 'streampipelines.yaml'), join(folder, 'streampipelines.yaml'))
  writeFileSync(join(folder, artifactHubFile), artifactHub)
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
    source,
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
    const differing = uncommitted()
    if (differing !== '') throw new Error(`a release is made of a commit; these files differ from it:\n${differing}`)
    for (const name of await makeRelease({ folder, images: values.images, env: process.env })) console.log(join(folder, name))
  } catch (thrown) {
    console.error(thrown instanceof Error ? thrown.message : thrown)
    process.exitCode = 1
  }
}
