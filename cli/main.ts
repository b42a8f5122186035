#!/usr/bin/env node
/**
 * The command line. Each command loads its own modules when it runs: `validate` does not load the Kubernetes client.
 */
import './nodeversion.ts'
import { commands } from './commands/all.ts'
import { runProgram } from './program.ts'

await runProgram(commands)
