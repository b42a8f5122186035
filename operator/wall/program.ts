/**
 * Programs behind the second wall (docs/decisions/two-walls.md): child processes for work whose memory or CPU a tenant chooses.
 * Threads would not do. Limits of a thread bound neither its buffers nor its peaks, and an endless loop in native code cannot be
 * ended.
 *
 * As sources and as compiled JavaScript each program is a file here. In the image all sources are one bundle, and the programs lie beside
 * it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

export type ProgramName = 'looks' | 'judge'

/** Flags of V8, in place of the operator's own. */
const v8Flags: Readonly<Record<ProgramName, readonly string[]>> = {
  looks: ['--max-semi-space-size=2', '--max-old-space-size=128'],
  judge: ['--max-semi-space-size=2', '--max-old-space-size=96', '--stack-size=900'],
}

function programUrl(name: ProgramName): URL {
  const ending = /\.\w+$/.exec(import.meta.url)?.[0] ?? '.js'
  return ending === '.mjs' ? new URL(`./${name}.mjs`, import.meta.url) : new URL(`./${name}/program${ending}`, import.meta.url)
}

/**
 * Its output matters only when it ends: V8 prints the cause there.
 * @param folder of the bundled programs; default: beside this one
 */
export function startProgram(name: ProgramName, folder?: string): ChildProcess {
  const { NODE_OPTIONS: _, ...env } = process.env
  return fork(folder === undefined ? programUrl(name) : join(folder, `${name}.mjs`), [], {
    execArgv: [...v8Flags[name]],
    env,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
}
