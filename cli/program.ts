/** The common part of the command line and of the images' programs: version, exit codes, printing of errors. */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { asFailure, errorText } from '../api/errors.ts'
import { exitCodeOf, exitCodes } from '../api/exitcodes.ts'
import { printableLines } from '../api/printable.ts'
import { processTerminal, type Terminal } from './terminal.ts'

export type RegisterCommand = (program: Command, terminal: Terminal) => void

function version(): string {
  // Beside the sources in a clone, one level further up in the published package's dist/ and in the images.
  for (const up of ['..', '../..']) {
    const file = new URL(`${up}/package.json`, import.meta.url)
    try {
      const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'))
      if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version)
    } catch {
      // Not there: look one level up.
    }
  }
  return 'unknown'
}

/** Runs the command that the process's arguments name, and sets its exit code. */
export async function runProgram(commands: readonly RegisterCommand[]): Promise<void> {
  // The reader of our output has closed it (`streampipeline crd | head`). That is no failure. A long-running command is asked to
  // stop.
  let unread = false
  process.stdout.on('error', (thrown: NodeJS.ErrnoException) => {
    if (thrown.code !== 'EPIPE') process.exit(exitCodes.internal)
    if (unread) return
    unread = true
    if (process.listenerCount('SIGTERM') === 0) process.exit(exitCodes.done)
    process.kill(process.pid, 'SIGTERM')
  })
  // Progress and complaints that nobody reads stop nothing: the result is on standard output, and in the exit code.
  process.stderr.on('error', (thrown: NodeJS.ErrnoException) => {
    if (thrown.code !== 'EPIPE') process.exit(exitCodes.internal)
  })
  await runCommand(commands, process.argv.slice(2), processTerminal)
}

/** Runs the command that `args` name. All that it prints, and its exit code, goes to the terminal. */
export async function runCommand(
  commands: readonly RegisterCommand[],
  args: readonly string[],
  terminal: Terminal,
): Promise<void> {
  const program = new Command('streampipeline')
    .description('A durable Redis stream in front of a BullMQ queue')
    .version(version())
    .showHelpAfterError('(streampipeline COMMAND --help lists the options)')
    .configureOutput({
      writeOut: terminal.out,
      writeErr: terminal.err,
      outputError: (text, write) => write(printableLines(text)),
    })
    .exitOverride()
  for (const register of commands) register(program, terminal)
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (thrown) {
    // Commander has printed its help or its complaint already.
    if (thrown instanceof CommanderError) return terminal.endWith(thrown.exitCode === 0 ? exitCodes.done : exitCodes.badUsage)
    const error = asFailure(thrown)
    terminal.err(`${printableLines(errorText(error))}\n`)
    terminal.endWith(exitCodeOf(error))
  }
}
