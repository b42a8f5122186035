#!/usr/bin/env node
/**
 * The command line. Each command loads its own part when it runs, so that `validate` does not pay for the Kubernetes client.
 */
import './nodeversion.ts'
import { registerConsume } from './commands/consume.ts'
import { registerCrd } from './commands/crd.ts'
import { registerDead } from './commands/dead.ts'
import { registerOperator } from './commands/operator.ts'
import { registerSimulate } from './commands/simulate.ts'
import { registerUp } from './commands/up.ts'
import { registerValidate } from './commands/validate.ts'
import { runProgram } from './program.ts'

await runProgram([registerValidate, registerUp, registerDead, registerConsume, registerOperator, registerSimulate, registerCrd])
