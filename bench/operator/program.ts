/** The operator of the image: its bundle under its settings, as a process of its own. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Bundle from '../../build/bundle.ts'
import type * as Flags from '../../build/v8flags.ts'
import { type RunningProcess, startProcess } from '../../test/support/process.ts'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'

export interface OperatorProcess extends RunningProcess {
  readonly startedMs: number
}

interface OperatorProgram {
  start(name: string, more?: readonly string[]): Promise<OperatorProcess>
}

/** @param checkout of the commit whose operator runs, built by its own script and run with its own settings; default: this one */
export async function operatorProgram(
  scope: Scope,
  folder: string,
  kubeconfig: string,
  checkout: string = projectRoot,
): Promise<OperatorProgram> {
  const [{ bundleAll }, { mallocSettings, v8Flags }] = await Promise.all([
    from<typeof Bundle>(checkout, 'build/bundle.ts'),
    from<typeof Flags>(checkout, 'build/v8flags.ts'),
  ])
  await bundleAll(folder)
  const program = join(folder, 'operator', 'bin', 'operator.mjs')
  return {
    async start(name, more = []) {
      const args = ['operator', '--consumer-image', 'consumer:bench', '--kubeconfig', kubeconfig]
      const ports = ['--metrics', '127.0.0.1:0', '--health', '127.0.0.1:0']
      const pod = { POD_NAME: name, POD_NAMESPACE: 'default' }
      const env = { NODE_OPTIONS: v8Flags.operator, ...mallocSettings.operator, ...pod }
      const startedMs = performance.now()
      return { ...(await startProcess(scope, [program, ...args, ...ports, ...more], { env })), startedMs }
    },
  }
}

async function from<Module>(checkout: string, path: string): Promise<Module> {
  return (await import(pathToFileURL(join(checkout, path)).href)) as Module
}

/**
 * Resident memory of a process and its children, MiB, as the limit of a container counts it: the private memory of each, and the
 * pages of files once, since they share them.
 */
export async function residentMiB(pid: number): Promise<number> {
  const all = await Promise.all([pid, ...(await childrenOf(pid))].map(residentOf))
  const own = all.reduce((sum, { anonymous }) => sum + anonymous, 0)
  return own + Math.max(...all.map(({ files }) => files))
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

async function residentOf(pid: number): Promise<{ readonly anonymous: number; readonly files: number }> {
  // A process that has just ended holds no memory.
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const mebibytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024
  return { anonymous: mebibytes('RssAnon') + mebibytes('RssShmem'), files: mebibytes('RssFile') }
}
