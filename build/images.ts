/**
 * `npm run images`: bundles both programs and builds both images as docker archives, `.cache/images/NAME.tar`, which a registry
 * tool, `ctr images import`, `kind load image-archive` or `docker load` takes.
 *
 *   BASE        base image; default: the Dockerfile's
 *   REPOSITORY  prefix of the names; default `localhost/streampipeline`, so: localhost/streampipeline/operator:VERSION
 *   TAG         default: the version in package.json
 *   BUILDER     `buildah` or `docker`; default: the first of them that works
 *   SOURCE      address of the repository, for a label; default: none
 *   SOURCE_DATE_EPOCH  buildah gives every file this time, so that two builds are equal; default: the time of the build
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { bundleAll, bundleFolder } from './bundle.ts'
import { root } from './root.ts'
import { imageNames, v8Flags } from './v8flags.ts'

interface BuiltImage {
  /** `repository:tag` */
  readonly reference: string
  readonly archive: string
}

interface ImageSpec {
  readonly reference: string
  readonly archive: string
  readonly dockerfile: string
  /** The build context. */
  readonly context: string
  readonly target?: string
  readonly args?: Readonly<Record<string, string>>
  /** Seconds since 1970 that buildah states as the time of files and image. */
  readonly epoch?: string | undefined
}

const builders = ['buildah', 'docker'] as const
export type Builder = (typeof builders)[number]

/** The vfs driver works in containers too, where overlays on overlays do not. */
const buildah = ['--storage-driver', 'vfs']

/** Undefined: neither is there. `docker` alone is a client: only one that reaches its daemon counts. */
export function findBuilder(env: NodeJS.ProcessEnv): Builder | undefined {
  const works = (name: Builder) => spawnSync(name, name === 'docker' ? ['info'] : ['--version'], { stdio: 'ignore' }).status === 0
  return builders.find((name) => (env['BUILDER'] === undefined || env['BUILDER'] === name) && works(name))
}

export function buildImage(
  builder: Builder,
  { reference, archive, dockerfile, context, target, args = {}, epoch }: ImageSpec,
): BuiltImage {
  const options = [
    '-f',
    dockerfile,
    '-t',
    reference,
    ...(target === undefined ? [] : ['--target', target]),
    ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
  ]
  // Without the label that names buildah's version, the base and the copied files alone make the image.
  const fixed = epoch === undefined ? [] : ['--timestamp', epoch, '--identity-label=false']
  rmSync(archive, { force: true })
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] }
  switch (builder) {
    case 'buildah':
      // Isolation matters to RUN alone, and the Dockerfile has none. But Debian's buildah works without user namespaces only if
      // chroot isolation is named.
      execFileSync(
        'buildah',
        [...buildah, 'build', '-q', '--isolation', 'chroot', '--layers=false', ...fixed, ...options, context],
        quiet,
      )
      execFileSync('buildah', [...buildah, 'push', '-q', reference, `docker-archive:${archive}:${reference}`], quiet)
      break
    case 'docker':
      execFileSync('docker', ['build', '-q', ...options, context], quiet)
      execFileSync('docker', ['save', '-o', archive, reference], quiet)
      break
    default:
      builder satisfies never
  }
  return { reference, archive }
}

function revision(): string {
  const asked = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' })
  return asked.status === 0 ? asked.stdout.trim() : 'unknown'
}

/** @throws Error where there is neither buildah nor docker */
export async function buildImages(env: NodeJS.ProcessEnv): Promise<readonly BuiltImage[]> {
  const builder = findBuilder(env)
  if (builder === undefined)
    throw new Error('neither buildah nor a docker daemon is here: apt-get install -y buildah, or start docker')
  await bundleAll()
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const { BASE, REPOSITORY = 'localhost/streampipeline', TAG = version, SOURCE = '', SOURCE_DATE_EPOCH: epoch } = env
  const args = {
    ...(BASE === undefined ? {} : { BASE }),
    VERSION: version,
    REVISION: revision(),
    SOURCE,
    OPERATOR_V8_FLAGS: v8Flags.operator,
    CONSUMER_V8_FLAGS: v8Flags.consumer,
  }
  return imageNames.map((name) =>
    buildImage(builder, {
      reference: `${REPOSITORY}/${name}:${TAG}`,
      archive: join(bundleFolder, `${name}.tar`),
      dockerfile: join(root, 'Dockerfile'),
      context: bundleFolder,
      target: name,
      args,
      epoch,
    }),
  )
}

if (import.meta.main) {
  try {
    for (const { reference, archive } of await buildImages(process.env)) {
      console.log(`${reference} ${(statSync(archive).size / 2 ** 20).toFixed(1)} MiB in ${archive}`)
    }
  } catch (thrown) {
    console.error(thrown instanceof Error ? thrown.message : thrown)
    process.exitCode = 1
  }
}
