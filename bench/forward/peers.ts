/**
 * Programs of others that some contenders need: packages of npm and of PyPI. They are no dependencies of this project. The bench installs them
 * once, below its cache, and leaves a contender out, with the reason, where it cannot.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { projectRoot } from '../../test/support/root.ts'

export type Peer = 'modules' | 'python'

export type PeerState =
  | { readonly kind: 'Ready'; readonly folder: string }
  | { readonly kind: 'Missing'; readonly reason: string }

/** moleculer 0.14 and ioredis 5 are the newest that `@moleculer/channels` takes. */
const modules = ['@moleculer/channels@0.1.8', 'moleculer@0.14.35', 'ioredis@5.8.2']
const python = ['redis==8.1.0', 'bullmq==3.4.4']

const withinMs = 240_000
const run = promisify(execFile)

/** The interpreter of a folder of `preparePeer('python')`. */
export const interpreterIn = (folder: string): string => join(folder, 'bin', 'python')

function places(peer: Peer) {
  const wanted = peer === 'modules' ? modules : python
  const folder = join(projectRoot, '.cache', 'bench', `${peer}-${wanted.join('-').replaceAll(/[^\w.-]/g, '_')}`)
  return { wanted, folder }
}

/** Its folder; undefined: it is not installed. */
export function knownPeer(peer: Peer): string | undefined {
  const { folder } = places(peer)
  return existsSync(folder) ? folder : undefined
}

/**
 * Installs what is not there yet. A folder is renamed into place when it is whole, so that a broken installation is never taken for
 * a whole one.
 */
export async function preparePeer(peer: Peer, progress: (line: string) => void): Promise<PeerState> {
  const { wanted, folder } = places(peer)
  if (existsSync(folder)) return { kind: 'Ready', folder }
  progress(`installing ${wanted.join(', ')}`)
  const partial = `${folder}.partial`
  try {
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true })
    if (peer === 'modules') await installModules(partial)
    else await installPython(partial)
    await rename(partial, folder)
    return { kind: 'Ready', folder }
  } catch (thrown) {
    await rm(partial, { recursive: true, force: true })
    return { kind: 'Missing', reason: `${wanted.join(', ')} could not be installed: ${firstLine(thrown)}` }
  }
}

async function installModules(folder: string): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{"private":true}')
  const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  await run('npm', ['install', ...options, ...modules], { cwd: folder, timeout: withinMs })
}

/**
 * Installs the packages in a virtual environment, which is renamed afterwards. That breaks its scripts, but the bench uses only the
 * interpreter, which is a link.
 */
async function installPython(folder: string): Promise<void> {
  await run('python3', ['-m', 'venv', '--symlinks', folder], { timeout: withinMs })
  const options = ['--quiet', '--disable-pip-version-check', '--no-input']
  await run(interpreterIn(folder), ['-m', 'pip', 'install', ...options, ...python], { timeout: withinMs })
}

function firstLine(thrown: unknown): string {
  const { stderr, message } = thrown as { readonly stderr?: string; readonly message?: string }
  const text = stderr || message || String(thrown)
  return text.trim().split('\n').at(-1)?.slice(0, 200) ?? ''
}
