/**
 * Disk space that the package takes in an application, beyond that of its peers: its own files as npm packs them, and the packages that only it
 * brings. The lock file says which those are, and this clone's node_modules holds them, so nothing is installed.
 */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

interface LockedPackage {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** `packages` of a package-lock.json: path of a folder → package; the path of the root is empty. */
export type Locked = Readonly<Record<string, LockedPackage>>

/** Folders of the packages that `names` bring, themselves included, as Node resolves them from the folder `from`. */
export function foldersOf(locked: Locked, names: readonly string[], from = ''): ReadonlySet<string> {
  const found = new Set<string>()
  const visit = (name: string, parent: string) => {
    const folder = resolve(locked, name, parent)
    if (folder === undefined || found.has(folder)) return
    found.add(folder)
    const { dependencies = {}, optionalDependencies = {} } = locked[folder] ?? {}
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies })) visit(next, folder)
  }
  for (const name of names) visit(name, from)
  return found
}

function resolve(locked: Locked, name: string, from: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules') - 1))) {
    const folder = `${at === '' ? '' : `${at}/`}node_modules/${name}`
    if (folder in locked) return folder
    if (at === '') return undefined
  }
}

/** Bytes of a package's files, without the packages below it. */
function bytesIn(folder: string): number {
  if (!existsSync(folder)) return 0
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    if (entry.name === 'node_modules') return sum
    const path = join(folder, entry.name)
    return sum + (entry.isDirectory() ? bytesIn(path) : entry.isFile() ? statSync(path).size : 0)
  }, 0)
}

/** @param root the clone, built @returns bytes */
export async function installedBytes(root: string, peers: readonly string[]): Promise<number> {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { readonly packages: Locked }
  const anyway = foldersOf(packages, peers)
  const brought = [...foldersOf(packages, Object.keys(packages['']?.dependencies ?? {}))].filter((folder) => !anyway.has(folder))
  const packed = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    maxBuffer: 2 ** 26,
  })
  const [own] = JSON.parse(packed.stdout) as readonly { readonly unpackedSize: number }[]
  if (own === undefined) throw new Error('npm packs nothing')
  return own.unpackedSize + brought.reduce((sum, folder) => sum + bytesIn(join(root, folder)), 0)
}
