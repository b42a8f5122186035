/** kubectl and helm, against the cluster of KUBECONFIG. Programs come from KUBEBUILDER_ASSETS where it has them, else from PATH. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

export interface Answer {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export const program = (name: string): string => {
  const assets = process.env['KUBEBUILDER_ASSETS']
  const path = assets === undefined ? undefined : join(assets, name)
  return path !== undefined && existsSync(path) ? path : name
}

export async function execute(command: string, args: readonly string[], input?: string): Promise<Answer> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // A program that ends before it has read its input breaks the pipe; its exit code shows the outcome.
  child.stdin.on('error', () => undefined).end(input)
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }))
  })
}

async function successful(name: string, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await execute(program(name), args, input)
  if (code !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr || stdout}`)
  return stdout
}

/** Throws when it fails. */
export const kubectl = async (...args: string[]): Promise<string> => await successful('kubectl', args)
export const helm = async (...args: string[]): Promise<string> => await successful('helm', args)

/** Objects or YAML. */
export const apply = async (manifest: string | object, namespace: string): Promise<string> =>
  await successful(
    'kubectl',
    ['-n', namespace, 'apply', '-f', '-'],
    typeof manifest === 'string' ? manifest : JSON.stringify(manifest),
  )

/** The objects of a manifest as they are on the cluster. */
export async function liveObjects<T>(manifest: string): Promise<readonly T[]> {
  return (
    JSON.parse(await successful('kubectl', ['get', '-f', '-', '-o', 'json', '--show-managed-fields'], manifest)) as { items: T[] }
  ).items
}

/** An object, or a list of them, parsed. */
export const get = async <T>(...args: string[]): Promise<T> => JSON.parse(await kubectl('get', ...args, '-o', 'json')) as T
