/**
 * Finds a redis-server: on the PATH, or by installing Debian's package if this user may. Nothing else is ever installed. The
 * package's own service is kept from starting, since it would listen on port 6379.
 */
import { access, constants, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { failure } from '../api/errors.ts'
import { describeExit, startChild } from './child.ts'

/** Valkey speaks the same protocol, and some systems have only that. */
const programs = ['redis-server', 'valkey-server'] as const
/** Folders of packages that may be missing on the user's PATH. */
const usualFolders = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/usr/sbin']

export interface System {
  /** Where programs are looked for, in order. */
  readonly folders: readonly string[]
  readonly uid: number | undefined
  readonly platform: NodeJS.Platform
  /** Debian's maintainer scripts ask this program before they start a service. */
  readonly servicePolicy: string
  /** Called with a line for each step. */
  readonly progress: (line: string) => void
}

export const thisSystem = (progress: (line: string) => void): System => ({
  folders: [...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''), ...usualFolders],
  uid: process.getuid?.(),
  platform: process.platform,
  servicePolicy: '/usr/sbin/policy-rc.d',
  progress,
})

/** Path of a redis-server, installing one where that is safe. Throws RedisServerMissing with the command to type. */
export async function provideRedisServer(system: System): Promise<string> {
  const found = await findProgram(programs, system.folders)
  if (found !== undefined) return found
  const aptGet = await findProgram(['apt-get'], system.folders)
  if (aptGet === undefined) throw missing(system, 'there is no apt-get on this machine to install it with')
  if (system.uid !== 0) throw missing(system, 'installing it takes root')
  await installDebian(aptGet, system)
  const installed = await findProgram(programs, system.folders)
  if (installed === undefined) throw missing(system, 'apt-get installed the package, but no program came with it')
  return installed
}

async function findProgram(names: readonly string[], folders: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    for (const folder of folders) {
      const file = join(folder, name)
      if (await isExecutable(file)) return file
    }
  }
  return undefined
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return true
  } catch {
    return false // absent, or not executable: the next folder may have it
  }
}

function missing(system: System, detail: string, cause?: unknown) {
  const commands: Partial<Record<NodeJS.Platform, string>> = {
    darwin: 'brew install redis',
    linux: system.uid === 0 ? 'apt-get update && apt-get install -y redis-server' : 'sudo apt-get install redis-server',
  }
  return failure('RedisServerMissing', { detail, command: commands[system.platform] ?? 'see https://redis.io/downloads' }, cause)
}

async function installDebian(aptGet: string, system: System): Promise<void> {
  system.progress("no redis-server found: installing Debian's package redis-server (as root, its service is not started)")
  const ours = await forbidServices(system.servicePolicy)
  try {
    const install = ['install', '-y', '-q', '--no-install-recommends', 'redis-server']
    let failed = await runApt(aptGet, install)
    if (failed !== undefined) {
      system.progress('apt-get: reading the package lists')
      failed = (await runApt(aptGet, ['update', '-q'])) ?? (await runApt(aptGet, install))
    }
    if (failed !== undefined) throw missing(system, `apt-get failed (${failed})`)
    system.progress('redis-server is installed')
  } finally {
    if (ours) await rm(system.servicePolicy, { force: true })
  }
}

/** @returns whether the policy was written; an existing one is an administrator's decision and stays */
async function forbidServices(policy: string): Promise<boolean> {
  try {
    // 101: the action is forbidden.
    await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' })
    return true
  } catch {
    // It exists, or this system has no such folder and no services either.
    return false
  }
}

/** @returns the failure; undefined: none */
async function runApt(aptGet: string, args: readonly string[]): Promise<string | undefined> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const child = await startChild(aptGet, ['-o', 'DPkg::Lock::Timeout=120', ...args], { env })
  const exit = await child.exited
  if (exit.code === 0) return undefined
  const errors = child.tail().filter((line) => line.startsWith('E:'))
  return errors.at(-1) ?? describeExit(exit)
}
