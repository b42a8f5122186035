/** The common part of the command line and of the images' programs: version, exit codes, printing of errors. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { asFailure, errorText } from '../api/errors.ts'
import { exitCodeOf, exitCodes } from '../api/exitcodes.ts'
import { printableLines } from '../api/printable.ts'

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

/** Parses `process.argv`, runs the command it names, sets the exit code. */
export async function runProgram(commands: readonly ((program: Command) => void)[]): Promise<void> {
  const program = new Command('streampipeline')
    .description('A durable Redis stream in front of a BullMQ queue')
    .version(version())
    .showHelpAfterError('(streampipeline COMMAND --help lists the options)')
    .configureOutput({ outputError: (text, write) => write(printableLines(text)) })
    .exitOverride((exit) => process.exit(exit.exitCode === 0 ? exitCodes.done : exitCodes.badUsage))
  for (const register of commands) register(program)

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

  try {
    await program.parseAsync()
  } catch (thrown) {
    const error = asFailure(thrown)
    process.stderr.write(`${printableLines(errorText(error))}\n`)
    process.exitCode = exitCodeOf(error)
  }
}
