/** The operator image's program: the command line with what concerns the operator only. `crd` helps where there is no chart. */
import { registerCrd } from '../commands/crd.ts'
import { registerOperator } from '../commands/operator.ts'
import { runProgram } from '../program.ts'

await runProgram([registerOperator, registerCrd])
