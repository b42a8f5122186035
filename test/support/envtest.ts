/**
 * The envtest archive: etcd, kube-apiserver and kubectl as the Kubernetes project publishes them for tests. Its index names each
 * archive's address and SHA-512. An archive is unpacked beside its final folder, which it gets only when it is whole.
 *
 * The index's form: https://github.com/kubernetes-sigs/controller-tools/blob/main/envtest-releases.yaml
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { access, constants, mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { z } from 'zod'

export const publishedIndex = 'https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml'

export interface EnvtestRequest {
  readonly index: string
  /** Such as `1.37`; its newest patch release is taken. */
  readonly minor: string
  /** As Node names them. */
  readonly platform: NodeJS.Platform
  readonly arch: NodeJS.Architecture
  /** The archive's own folder is made below it. */
  readonly cache: string
  /** Longest wait for the index, and for a next piece of the archive. Default 15,000. */
  readonly waitMs?: number
  readonly say: (line: string) => void
}

export type Envtest =
  | { readonly kind: 'Found'; readonly folder: string; readonly version: string }
  | { readonly kind: 'Missing'; readonly reason: string }

const indexShape = z.object({
  releases: z.record(
    z.string(),
    z.record(z.string(), z.object({ hash: z.string().regex(/^[0-9a-f]{128}$/), selfLink: z.url({ protocol: /^https?$/ }) })),
  ),
})

const programs = ['etcd', 'kube-apiserver', 'kubectl']
const below = ['controller-tools', 'envtest']
const mostIndexBytes = 8 * 2 ** 20
const mostArchiveBytes = 512 * 2 ** 20
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', ppc64: 'ppc64le', s390x: 's390x' }

/** Downloads the archive unless its folder is there. A failure is returned, not thrown: another way is tried then. */
export async function provideEnvtest(request: EnvtestRequest): Promise<Envtest> {
  try {
    return await provide(request)
  } catch (thrown) {
    const cause = thrown instanceof Error && thrown.cause instanceof Error ? `: ${thrown.cause.message}` : ''
    return { kind: 'Missing', reason: `${request.index}: ${thrown instanceof Error ? thrown.message : String(thrown)}${cause}` }
  }
}

async function provide(request: EnvtestRequest): Promise<Envtest> {
  const { minor, platform, arch, say } = request
  const { releases } = indexShape.parse(parse(await readIndex(request)))
  const version = newest(Object.keys(releases), minor)
  if (version === undefined) return { kind: 'Missing', reason: `${request.index} lists no v${minor}` }
  const name = `envtest-${version}-${platform}-${architectures[arch] ?? arch}.tar.gz`
  const archive = releases[version]?.[name]
  if (archive === undefined) return { kind: 'Missing', reason: `${request.index} lists no ${name}` }
  const folder = join(request.cache, `envtest-${version}-${archive.hash.slice(0, 12)}`)
  if ((await lacking(folder)) === undefined) return { kind: 'Found', folder, version }
  say(`no Kubernetes programs here: downloading ${name}`)
  const unfinished = `${folder}.${process.pid}`
  try {
    await mkdir(unfinished, { recursive: true })
    const file = join(unfinished, name)
    const hash = await download(archive.selfLink, file, request)
    if (hash !== archive.hash) {
      return { kind: 'Missing', reason: `${archive.selfLink} has the SHA-512 ${hash}, and its index names ${archive.hash}` }
    }
    await promisify(execFile)('tar', ['-xzf', file, '-C', unfinished, '--no-same-owner'])
    const unpacked = join(unfinished, ...below)
    const absent = await lacking(unpacked)
    if (absent !== undefined)
      return { kind: 'Missing', reason: `${archive.selfLink} holds no program ${[...below, absent].join('/')}` }
    await rm(folder, { recursive: true, force: true })
    await rename(unpacked, folder)
    return { kind: 'Found', folder, version }
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

async function readIndex({ index, waitMs = 15_000 }: EnvtestRequest): Promise<string> {
  const response = await fetch(index, { signal: AbortSignal.timeout(waitMs) })
  if (!response.ok) throw new Error(`answered ${response.status}`)
  const text = await response.text()
  if (text.length > mostIndexBytes) throw new Error(`is larger than ${mostIndexBytes} bytes`)
  return text
}

/** @returns the SHA-512 of the bytes that were written */
async function download(address: string, file: string, { waitMs = 15_000 }: EnvtestRequest): Promise<string> {
  const stop = new AbortController()
  const silence = setTimeout(() => stop.abort(new Error(`${address} sent nothing for ${waitMs / 1_000} s`)), waitMs)
  const content = createHash('sha512')
  let bytes = 0
  const counted = new Transform({
    transform(piece: Buffer, _encoding, done) {
      silence.refresh()
      bytes += piece.length
      content.update(piece)
      done(bytes > mostArchiveBytes ? new Error(`${address} is larger than ${mostArchiveBytes} bytes`) : null, piece)
    },
  })
  try {
    const response = await fetch(address, { signal: stop.signal })
    if (!response.ok || response.body === null) throw new Error(`${address} answered ${response.status}`)
    await pipeline(Readable.fromWeb(response.body), counted, createWriteStream(file), { signal: stop.signal })
    return content.digest('hex')
  } catch (thrown) {
    throw stop.signal.aborted ? stop.signal.reason : thrown
  } finally {
    clearTimeout(silence)
  }
}

/** Without pre-releases. */
function newest(versions: readonly string[], minor: string): string | undefined {
  const patch = (version: string) => Number(/^v\d+\.\d+\.(\d+)$/.exec(version)?.[1])
  return versions
    .filter((version) => version.startsWith(`v${minor}.`) && !Number.isNaN(patch(version)))
    .toSorted((a, b) => patch(b) - patch(a))[0]
}

/** @returns the first program that the folder lacks */
async function lacking(folder: string): Promise<string | undefined> {
  for (const name of programs) {
    const there = await access(join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    )
    if (!there) return name
  }
  return undefined
}
