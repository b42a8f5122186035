/**
 * Gets the Kubernetes programs when none are there: the published envtest archive, else what setup-envtest downloads, else a build by Go
 * from the published modules.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type Assets, buildFolder, findAssets, found, goModule, minor, setupEnvtest, userCache } from './assets.ts'
import { provideEnvtest, publishedIndex } from './envtest.ts'
import { tethered } from './tether.ts'

const components = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl']
const oldestGo = [1, 26] as const

/**
 * As findAssets, but gets them. Steps that take time are reported through `say`. STREAMPIPELINE_ENVTEST_INDEX names another index of
 * envtest archives.
 */
export const provideAssets = async (env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<Assets> => {
  const there = await findAssets(env)
  if (there.kind === 'Found') return there
  const archive = await provideEnvtest({
    index: env.STREAMPIPELINE_ENVTEST_INDEX || publishedIndex,
    minor,
    platform: process.platform,
    arch: process.arch,
    cache: userCache(env),
    say,
  })
  if (archive.kind === 'Found') return found(archive.folder, `the published envtest archive of ${archive.version}`)
  say(`no envtest archive: ${archive.reason}`)
  const downloaded = await setupEnvtest(env, [])
  if (downloaded !== undefined) return found(downloaded, 'downloaded by setup-envtest')
  const go = await goVersion(env)
  if (go.kind === 'Unfit') return { kind: 'Missing', reason: `${there.reason} (${go.reason})` }
  say(`no Kubernetes programs here: building them once with ${go.version}`)
  const folder = buildFolder(env)
  const failure = await build(folder, env, say)
  if (failure !== undefined) return { kind: 'Missing', reason: `${there.reason} (the build failed: ${failure})` }
  return found(folder, 'built from published modules')
}

type Go = { kind: 'Fit'; version: string } | { kind: 'Unfit'; reason: string }

const goVersion = async (env: NodeJS.ProcessEnv): Promise<Go> => {
  try {
    const { stdout } = await promisify(execFile)('go', ['env', 'GOVERSION'], { env, cwd: goModule })
    const version = stdout.trim()
    const [, major = 0, minor = 0] = (/^go(\d+)\.(\d+)/.exec(version) ?? []).map(Number)
    const fit = major > oldestGo[0] || (major === oldestGo[0] && minor >= oldestGo[1])
    return fit ? { kind: 'Fit', version } : { kind: 'Unfit', reason: `${version} is too old` }
  } catch {
    // Not installed, or older than the module allows and unable to fetch a newer toolchain.
    return { kind: 'Unfit', reason: `no Go ${oldestGo.join('.')} or later on PATH` }
  }
}

/** Returns what went wrong. Built beside its final place and renamed, so that a folder that is there is whole. */
const build = async (folder: string, env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<string | undefined> => {
  const unfinished = `${folder}.${process.pid}`
  await mkdir(unfinished, { recursive: true })
  try {
    const failure = await compile(join(unfinished, 'kube'), { ...env, CGO_ENABLED: '0' }, say)
    if (failure !== undefined) return failure
    for (const name of components) await symlink('kube', join(unfinished, name))
    await rm(folder, { recursive: true, force: true })
    await rename(unfinished, folder)
    return undefined
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

const compile = async (program: string, env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<string | undefined> => {
  const module = await readFile(join(goModule, 'go.mod'), 'utf8')
  const version = /^\tk8s\.io\/kubernetes (v(\d+)\.(\d+)\.\S+)/m.exec(module)
  if (!version) return 'go.mod names no version of k8s.io/kubernetes'
  const stamp = Object.entries({ gitVersion: version[1], gitMajor: version[2], gitMinor: version[3] })
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ')
  const total = await packageCount(env, say)
  const arguments_ = [
    'build',
    '-v',
    '-mod=readonly',
    '-trimpath',
    '-buildvcs=false',
    '-ldflags',
    `-s -w ${stamp}`,
    '-o',
    program,
    '.',
  ]
  const child = spawn(...tethered('go', arguments_), { cwd: goModule, env, stdio: ['ignore', 'ignore', 'pipe'] })
  const lastLines: string[] = []
  let built = 0
  const startedAt = performance.now()
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    say(`  ${built} of at most ${total} packages compiled after ${Math.floor(seconds / 60)} min ${seconds % 60} s`)
  }, 20_000)
  const closed = new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject))
  for await (const line of createInterface({ input: child.stderr })) {
    // With -v each line is a package that is being compiled; anything with a blank is a message.
    if (/^\S+$/.test(line)) built += 1
    else lastLines.push(line)
  }
  const code = await closed
  clearInterval(progress)
  return code === 0 ? undefined : lastLines.slice(-5).join('; ') || `go build exited with ${code}`
}

const packageCount = async (env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<number> => {
  say('  downloading modules')
  const listing = await promisify(execFile)('go', ['list', '-mod=readonly', '-deps', '.'], {
    cwd: goModule,
    env,
    maxBuffer: 16 * 1024 * 1024,
  }).catch(() => undefined)
  // The count is for the progress line alone; why listing fails, the build itself says better.
  return listing?.stdout.trim().split('\n').length ?? 0
}
