/**
 * The tests run etcd, kube-apiserver and kubectl from this folder. A folder of envtest's lacks kube-controller-manager. The search goes
 * through $KUBEBUILDER_ASSETS, the clone's .cache/kube, the user's cache, and what setup-envtest has installed. `npm test`
 * goes further when none is there: it downloads the published envtest archive, asks setup-envtest, or builds with Go (kubebuild.ts).
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { projectRoot } from './root.ts'

export type Assets =
  | { readonly kind: 'Found'; readonly folder: string; readonly origin: string; readonly controllers: boolean }
  | { readonly kind: 'Missing'; readonly reason: string }

export const goModule = join(projectRoot, 'test', 'kube')
export const minor = '1.37'
const needed = ['etcd', 'kube-apiserver', 'kubectl']

/** What to type when no way to get them worked. */
export const assetsRemedy =
  'set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl, ' +
  `or install Go 1.26 or later and run npm test again: it builds Kubernetes ${minor} once (some ten minutes on two cores)`

/** Where a build goes: by content of the Go module, shared by all clones of this user. */
export const buildFolder = (env: NodeJS.ProcessEnv): string => {
  const content = createHash('sha256')
  for (const file of ['go.mod', 'go.sum', 'main.go']) content.update(readFileSync(join(goModule, file)))
  return join(userCache(env), `kube-${content.digest('hex').slice(0, 12)}`)
}

/** Looks, and changes nothing. Throws when $KUBEBUILDER_ASSETS names a folder that lacks a component. */
export const findAssets = async (env: NodeJS.ProcessEnv): Promise<Assets> => {
  const named = env.KUBEBUILDER_ASSETS
  if (named !== undefined && named !== '') {
    const lacking = needed.filter((name) => !isProgram(join(named, name)))
    if (lacking.length > 0) throw new Error(`KUBEBUILDER_ASSETS is ${named}, which holds no program ${lacking.join(', ')}`)
    return found(named, 'KUBEBUILDER_ASSETS')
  }
  for (const folder of [join(projectRoot, '.cache', 'kube'), buildFolder(env)]) {
    if (isComplete(folder)) return found(folder, 'built or unpacked before')
  }
  const installed = await setupEnvtest(env, ['--installed-only'])
  if (installed !== undefined) return found(installed, 'installed by setup-envtest')
  return { kind: 'Missing', reason: `no etcd, kube-apiserver and kubectl: ${assetsRemedy}` }
}

export const found = (folder: string, origin: string): Assets => ({
  kind: 'Found',
  folder,
  origin,
  controllers: isProgram(join(folder, 'kube-controller-manager')),
})

/** The folder that setup-envtest prints for the Kubernetes minor tested here; undefined when it is absent or has none. */
export const setupEnvtest = async (env: NodeJS.ProcessEnv, options: readonly string[]): Promise<string | undefined> => {
  const program = [...(env.PATH ?? '').split(':'), join(homedir(), 'go', 'bin')]
    .map((folder) => join(folder, 'setup-envtest'))
    .find(isProgram)
  if (program === undefined) return undefined
  const args = ['use', `${minor}.x`, '--print', 'path', ...options]
  try {
    const { stdout } = await promisify(execFile)(program, args, { env, timeout: 300_000 })
    return isComplete(stdout.trim()) ? stdout.trim() : undefined
  } catch {
    // It exits with 2 when it has none and when it cannot reach its index: the next way is tried then.
    return undefined
  }
}

export const userCache = (env: NodeJS.ProcessEnv): string =>
  join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'streampipeline')

const isComplete = (folder: string): boolean => existsSync(folder) && needed.every((name) => isProgram(join(folder, name)))

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
