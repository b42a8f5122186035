/**
 * The published package, packed and installed as a user would: compiled, `npm pack`, `npm ci` in another folder. Its
 * dependencies are the very versions of this project's lock file, taken from npm's cache where it has them.
 */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { run } from '../support/process.ts'
import { projectRoot } from '../support/root.ts'
import type { Scope } from '../support/scope.ts'

export interface Installed {
  /** The application's folder. */
  readonly app: string
  /** The package within it. */
  readonly folder: string
  /** The content of the tarball: path → mode. */
  readonly files: ReadonlyMap<string, number>
}

interface PackReport {
  readonly filename: string
  readonly files: readonly { readonly path: string; readonly mode: number }[]
}

type Json = Readonly<Record<string, unknown>>

const patience = { timeoutMs: 150_000 }

export async function installPackage(scope: Scope): Promise<Installed> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-package-'))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const source = join(folder, 'source')
  await stage(scope, source)
  const report = await npm<PackReport[]>(scope, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], source)
  const [packed] = Object.values(report)
  assert.ok(packed !== undefined)
  const app = join(folder, 'app')
  await mkdir(app)
  await writeLock(app, `file:${join(folder, packed.filename)}`)
  await npm(scope, ['ci', '--json', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--omit=dev'], app)
  return {
    app,
    folder: join(app, 'node_modules', 'streampipeline'),
    files: new Map(packed.files.map(({ path, mode }) => [path, mode])),
  }
}

/** A copy of the packed files: compiling in the project's own dist/ would disturb its users. */
async function stage(scope: Scope, source: string): Promise<void> {
  const manifest = await readJson(join(projectRoot, 'package.json'))
  for (const name of ['package.json', ...(manifest['files'] as string[])]) {
    if (name !== 'dist') await cp(join(projectRoot, name), join(source, name), { recursive: true })
  }
  const compiled = await run(scope, [join(projectRoot, 'build', 'compile.ts'), join(source, 'dist')], patience)
  assert.equal(compiled.code, 0, compiled.stdout + compiled.stderr)
}

/** The application's manifest and lock file: this package from its tarball, everything else as this project locks it. */
async function writeLock(app: string, tarball: string): Promise<void> {
  const lock = await readJson(join(projectRoot, 'package-lock.json'))
  const { '': root, ...others } = lock['packages'] as Record<string, Json>
  const { devDependencies: _, ...published } = root ?? {}
  const manifest = { name: 'app', version: '1.0.0', private: true, type: 'module', dependencies: { streampipeline: tarball } }
  const packages = {
    '': manifest,
    'node_modules/streampipeline': { ...published, resolved: tarball },
    ...Object.fromEntries(Object.entries(others).filter(([, entry]) => entry['dev'] !== true)),
  }
  await writeFile(join(app, 'package.json'), JSON.stringify(manifest))
  await writeFile(join(app, 'package-lock.json'), JSON.stringify({ ...lock, name: 'app', packages }))
}

async function npm<T>(scope: Scope, args: readonly string[], cwd: string): Promise<T> {
  const path = `${dirname(process.execPath)}:${process.env['PATH']}`
  const result = await run(scope, [...args], { command: 'npm', cwd, env: { PATH: path }, ...patience })
  assert.equal(result.code, 0, `npm ${args.join(' ')}:\n${result.stdout}${result.stderr}`)
  return JSON.parse(result.stdout) as T
}

async function readJson(file: string): Promise<Json> {
  return JSON.parse(await readFile(file, 'utf8')) as Json
}
