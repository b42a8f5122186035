/**
 * npm packages that a few tests need and the project does not: older releases of Node, other test runners. Each set is installed once, at
 * exact versions, into a folder of the user's cache. Where it cannot be had, the test is skipped, with npm's reason.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { userCache } from './assets.ts'
import { run } from './process.ts'
import type { Scope } from './scope.ts'

export type NpmFolder =
  /** `folder` has a `node_modules` with the packages. */
  { readonly folder: string; readonly skip: false } | { readonly folder: ''; readonly skip: string }

/** @param packages name → exact version */
export async function npmPackages(scope: Scope, packages: Readonly<Record<string, string>>): Promise<NpmFolder> {
  const names = Object.entries(packages).map(([name, version]) => `${name}@${version}`)
  const cache = join(userCache(process.env), 'npm')
  const folder = join(cache, names.join('+').replaceAll('/', '_'))
  if (existsSync(folder)) return { folder, skip: false }
  await mkdir(cache, { recursive: true })
  const fresh = await mkdtemp(join(cache, 'install-'))
  scope.after(() => rm(fresh, { recursive: true, force: true }))
  const manifest = { private: true, dependencies: packages }
  await writeFile(join(fresh, 'package.json'), JSON.stringify(manifest))
  const args = ['install', '--no-audit', '--no-fund', '--loglevel=error', '--fetch-retries=1', '--engine-strict=false']
  const env = { PATH: `${dirname(process.execPath)}:${process.env['PATH']}` }
  const { code, stderr } = await run(scope, args, { command: 'npm', cwd: fresh, env, timeoutMs: 240_000 })
  if (code !== 0) return { folder: '', skip: `npm cannot install ${names.join(', ')}: ${stderr.split('\n')[0] ?? ''}` }
  // Another test file may have been first.
  await rename(fresh, folder).catch((thrown: unknown) => {
    if (!existsSync(folder)) throw thrown
  })
  return { folder, skip: false }
}

const { optionalDependencies } = createRequire(import.meta.url)('../../build/node/package.json') as {
  readonly optionalDependencies: Readonly<Record<string, string>>
}

/** The package that holds Node's program for this machine. The package `node` would run npm a second time, to install this one. */
const nodePackage =
  Object.keys(optionalDependencies).find((name) => name.endsWith(`-${process.platform}-${process.arch}`)) ?? 'node'

/** A release of Node. */
export async function npmNode(scope: Scope, version: string): Promise<NpmFolder & { readonly program: string }> {
  const found = await npmPackages(scope, { [nodePackage]: version })
  return { ...found, program: join(found.folder, 'node_modules', nodePackage, 'bin', 'node') }
}
