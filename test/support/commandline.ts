/**
 * The project's command line. Commands that only read, print and end run in the test's own process, as a person's shell runs them in one
 * of theirs: a start needs a third of a second of processor time, and such a command a hundredth.
 */
import { exitCodes } from '../../api/exitcodes.ts'
import { commands } from '../../cli/commands/all.ts'
import { runCommand } from '../../cli/program.ts'

export interface Printed {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const brief: ReadonlySet<string | undefined> = new Set(['validate', 'status', 'dead', 'types', 'crd', 'simulate'])

/** Runs a command in this process. Throws for one that sets up its process, such as `up`: `startCli` and `runCli` start those. */
export async function runHere(args: readonly string[]): Promise<Printed> {
  if (!brief.has(args[0])) throw new Error(`${args[0]} needs a process of its own`)
  const printed = { stdout: '', stderr: '' }
  let code: number = exitCodes.done
  await runCommand(commands, args, {
    out: (text) => {
      printed.stdout += text
    },
    err: (text) => {
      printed.stderr += text
    },
    endWith: (given) => {
      code = given
    },
  })
  return { code, ...printed }
}
