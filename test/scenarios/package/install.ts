/**
 * The published package, packed and installed as a user would: compiled, `npm pack`, `npm ci` in another folder. Its peers and
 * dependencies are the very versions of this project's lock file, taken from npm's cache where it has them.
 */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { madeOnce } from '../../support/madeonce.ts'
import { run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'
import type { Scope } from '../../support/scope.ts'

export interface Installed {
  /** The application's folder. */
  readonly app: string
  /** The package within it. */
  readonly folder: string
  /** The content of the tarball: path → mode. */
  readonly files: ReadonlyMap<string, number>
  /** Paths of the installed packages, as the lock file names them, with what npm brings for the peers. */
  readonly packages: readonly string[]
  /** Those of them that the peers need. */
  readonly ofPeers: ReadonlySet<string>
}

interface PackReport {
  readonly filename: string
  readonly files: readonly { readonly path: string; readonly mode: number }[]
}

type Json = Readonly<Record<string, unknown>>

interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const patience = { timeoutMs: 300_000 }

/** What `make` leaves beside the application. */
type Description = Pick<Installed, 'packages'> & {
  readonly files: readonly (readonly [path: string, mode: number])[]
  readonly ofPeers: readonly string[]
}

/** Each caller gets an application of its own: tests put their programs into it. */
export async function installPackage(scope: Scope): Promise<Installed> {
  const made = await madeOnce(scope, 'package', async (folder) => await install(scope, folder))
  const { files, packages, ofPeers } = (await readJson(join(made, 'installed.json'))) as unknown as Description
  const own = await mkdtemp(join(tmpdir(), 'streampipeline-package-'))
  scope.after(() => rm(own, { recursive: true, force: true }))
  const app = join(own, 'app')
  await cp(join(made, 'app'), app, { recursive: true, verbatimSymlinks: true })
  return {
    app,
    folder: join(app, 'node_modules', 'streampipeline'),
    files: new Map(files),
    packages,
    ofPeers: new Set(ofPeers),
  }
}

async function install(scope: Scope, folder: string): Promise<void> {
  const source = join(folder, 'source')
  await stage(scope, source)
  const report = await npm<PackReport[]>(scope, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], source)
  const [packed] = Object.values(report)
  assert.ok(packed !== undefined)
  const app = join(folder, 'app')
  await mkdir(app)
  const { packages, ofPeers } = await writeLock(app, `file:${join(folder, packed.filename)}`)
  await npm(scope, ['ci', '--json', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], app)
  const description: Description = {
    files: packed.files.map(({ path, mode }) => [path, mode] as const),
    packages,
    ofPeers: [...ofPeers],
  }
  await writeFile(join(folder, 'installed.json'), JSON.stringify(description))
}

/** A copy of the packed files: compiling in the project's own dist/ would disturb its users. */
async function stage(scope: Scope, source: string): Promise<void> {
  const manifest = await readJson(join(projectRoot, 'package.json'))
  for (const name of ['package.json', ...(manifest['files'] as string[])]) {
    if (name !== 'dist' && !name.startsWith('!')) await cp(join(projectRoot, name), join(source, name), { recursive: true })
  }
  const compiled = await run(scope, [join(projectRoot, 'build', 'compile.ts'), join(source, 'dist')], patience)
  assert.equal(compiled.code, 0, compiled.stdout + compiled.stderr)
}

/** The application's manifest and lock file: this package from its tarball, everything else as this project locks it. */
async function writeLock(app: string, tarball: string) {
  const lock = await readJson(join(projectRoot, 'package-lock.json'))
  const { '': root, ...others } = lock['packages'] as Record<string, Json>
  const { devDependencies: _, dependencies = {}, peerDependencies = {}, ...rest } = root ?? {}
  const published = { ...rest, dependencies, peerDependencies }
  const peers = Object.keys(peerDependencies as object)
  const ofPeers = closure(others, peers)
  const wanted = new Set([...ofPeers, ...closure(others, Object.keys(dependencies as object))])
  // An application names the peers; their versions are those that this project is developed with.
  const own = Object.fromEntries(peers.map((name) => [name, String(others[`node_modules/${name}`]?.['version'])]))
  const manifest = {
    name: 'app',
    version: '1.0.0',
    private: true,
    type: 'module',
    dependencies: { ...own, streampipeline: tarball },
    overrides: { 'msgpackr-extract': '3.0.4' },
  }
  const plain = ({ dev: _, peer: __, devOptional: ___, ...entry }: Json) => entry
  const packages = {
    '': manifest,
    'node_modules/streampipeline': { ...published, resolved: tarball },
    ...Object.fromEntries([...wanted].map((path) => [path, plain(others[path] ?? {})])),
  }
  await writeFile(join(app, 'package.json'), JSON.stringify(manifest))
  await writeFile(join(app, 'package-lock.json'), JSON.stringify({ ...lock, name: 'app', packages }))
  return { packages: [...wanted, 'node_modules/streampipeline'], ofPeers }
}

/** What packages need, by the lock file's paths, themselves included. */
function closure(locked: Readonly<Record<string, Json>>, names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>()
  const visit = (name: string, from: string): void => {
    // As Node resolves it: the nearest folder wins.
    for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
      const path = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`
      const entry = locked[path] as Locked | undefined
      if (entry !== undefined) {
        if (found.has(path)) return
        found.add(path)
        const next = { ...entry.dependencies, ...entry.optionalDependencies }
        for (const each of Object.keys(next)) visit(each, path)
        return
      }
      if (at === '') return
    }
  }
  for (const name of names) visit(name, '')
  return found
}

/** Bytes of all files of a folder. */
export async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function npm<T>(scope: Scope, args: readonly string[], cwd: string): Promise<T> {
  const path = `${dirname(process.execPath)}:${process.env['PATH']}`
  // Under `npm run --silent` an inherited level would silence the JSON, too.
  const env = { PATH: path, npm_config_loglevel: 'error' }
  const result = await run(scope, [...args], { command: 'npm', cwd, env, ...patience })
  assert.equal(result.code, 0, `npm ${args.join(' ')}:\n${result.stdout}${result.stderr}`)
  return JSON.parse(result.stdout) as T
}

async function readJson(file: string): Promise<Json> {
  return JSON.parse(await readFile(file, 'utf8')) as Json
}
