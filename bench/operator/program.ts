/** The operator as its image runs it: the bundle, under the image's settings, as a process of its own. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleAll } from '../../build/bundle.ts'
import { mallocSettings, v8Flags } from '../../build/v8flags.ts'
import { type RunningProcess, startProcess } from '../../test/support/process.ts'
import type { Scope } from '../../test/support/scope.ts'

export interface OperatorProcess extends RunningProcess {
  readonly startedMs: number
}

export interface OperatorProgram {
  start(name: string, more?: readonly string[]): Promise<OperatorProcess>
}

export async function operatorProgram(scope: Scope, folder: string, kubeconfig: string): Promise<OperatorProgram> {
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

/** Resident set of a process, now, MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib ?? Number.NaN) / 1024
}
