/**
 * Builds the API server of one Kubernetes release by Go, and prints a folder for KUBEBUILDER_ASSETS. The other components there are the usual
 * ones, which are newer.
 *
 *   KUBEBUILDER_ASSETS=$(npx node test/kube/release.ts 1.31.14) npm test -- test/scenarios/api
 *
 * The modules are those that the release itself names, and Go checks them against its checksum database. Those of the oldest release are kept
 * in `oldest`.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { found, goModule } from '../support/assets.ts'
import { provideAssets } from '../support/kubebuild.ts'
import { projectRoot } from '../support/root.ts'

const note = (line: string): void => void process.stderr.write(`${line}\n`)

const release = process.argv[2] ?? ''
const [, minor] = /^1\.(\d+)\.\d+$/.exec(release) ?? []
if (minor === undefined) {
  note('usage: npx node test/kube/release.ts 1.MINOR.PATCH')
  process.exit(2)
}

const oldest = join(goModule, 'oldest')
const folder = join(projectRoot, '.cache', `kube-${release}`)
if (!existsSync(join(folder, 'kube-apiserver'))) await build()
process.stdout.write(`${folder}\n`)

async function build(): Promise<void> {
  const usual = await provideAssets(process.env, note)
  if (usual.kind === 'Missing') throw new Error(usual.reason)
  const module = join(folder, 'module')
  await mkdir(module, { recursive: true })
  await cp(oldest, module, { recursive: true })
  if (!(await readFile(join(oldest, 'go.mod'), 'utf8')).includes(`k8s.io/kubernetes v${release}\n`)) {
    await rm(join(module, 'go.sum'))
    await writeFile(join(module, 'go.mod'), moduleFile(await ownModuleFile()))
  }
  note(`building kube-apiserver ${release}: some twenty minutes on two idle cores`)
  await go(module, ['build', '-mod=mod', '-trimpath', '-ldflags', linkFlags(), '-o', 'kube-apiserver', '.'])
  for (const name of readdirSync(usual.folder)) {
    if (name === 'kube-apiserver') continue
    await rm(join(folder, name), { force: true })
    await symlink(join(usual.folder, name), join(folder, name))
  }
  await rename(join(module, 'kube-apiserver'), join(folder, 'kube-apiserver'))
  note(`built: ${found(folder, 'go').kind}`)
}

async function ownModuleFile(): Promise<string> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', `k8s.io/kubernetes@v${release}`])
  const { GoMod: path } = JSON.parse(stdout) as { readonly GoMod: string }
  return await readFile(path, 'utf8')
}

/** In its own repository a release finds its parts in folders; their published modules have the version 0.MINOR.PATCH. */
function moduleFile(own: string): string {
  const published = own
    .replace(/^module .*$/m, 'module streampipeline.test/kube/release')
    .replace(/=> \.\/staging\/src\/(\S+)/g, `=> $1 v0.${release.slice(2)}`)
  return `${published}\nrequire k8s.io/kubernetes v${release}\n`
}

function linkFlags(): string {
  const version = 'k8s.io/component-base/version'
  const values = { gitVersion: `v${release}`, gitMajor: '1', gitMinor: minor }
  return ['-s -w', ...Object.entries(values).map(([name, value]) => `-X ${version}.${name}=${value}`)].join(' ')
}

async function go(cwd: string, args: readonly string[]): Promise<void> {
  const env = { ...process.env, CGO_ENABLED: '0' }
  const child = spawn('go', args, { cwd, env, stdio: ['ignore', 2, 2] })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`go ${args[0]} ended with ${code}`)
}
