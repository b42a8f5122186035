#!/usr/bin/env node
/**
 * The command line. Each command loads its own part when it runs, so that `validate` does not pay for the Kubernetes client.
 */
import './nodeversion.ts'
import { commands } from './commands/all.ts'
import { runProgram } from './program.ts'

await runProgram(commands)
