#!/usr/bin/env node
/**
 * The command line. Each command loads its own part when it runs, so that `validate` does not pay for the Kubernetes client.
 */
import './nodeversion.ts'
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { asFailure } from '../api/errors.ts'
import { exitCodeOf, exitCodes } from '../api/exitcodes.ts'
import { registerConsume } from './commands/consume.ts'
import { registerCrd } from './commands/crd.ts'
import { registerDead } from './commands/dead.ts'
import { registerOperator } from './commands/operator.ts'
import { registerUp } from './commands/up.ts'
import { registerValidate } from './commands/validate.ts'

function version(): string {
  // Beside the sources in a clone, one level further up in the published package's dist/.
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

const program = new Command('streampipeline')
  .description('A durable Redis Streams boundary in front of BullMQ')
  .version(version())
  .showHelpAfterError('(streampipeline COMMAND --help tells the options)')
  .exitOverride((exit) => process.exit(exit.exitCode === 0 ? exitCodes.done : exitCodes.badUsage))
registerValidate(program)
registerUp(program)
registerDead(program)
registerConsume(program)
registerOperator(program)
registerCrd(program)

// `streampipeline crd | head` is no fault.
process.stdout.on('error', (thrown: NodeJS.ErrnoException) =>
  process.exit(thrown.code === 'EPIPE' ? exitCodes.done : exitCodes.fault),
)

try {
  await program.parseAsync()
} catch (thrown) {
  const error = asFailure(thrown)
  process.stderr.write(`streampipeline: ${error.message}\n  ${error.remedy}\n`)
  process.exitCode = exitCodeOf(error)
}
