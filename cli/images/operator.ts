/** The operator image's program: the command line with what concerns the operator only. `crd` helps where there is no chart. */
import { setFlagsFromString } from 'node:v8'
import { registerCrd } from '../commands/crd.ts'
import { registerOperator } from '../commands/operator.ts'
import { runProgram } from '../program.ts'

/**
 * V8 lets a heap of this size grow by a third before it collects all of it, which with 1,000 pipelines takes two cores a tenth of a
 * second: a change of a spec that comes then waits. At six tenths that happens half as often, for some 8 MiB more. Not an option that
 * NODE_OPTIONS takes.
 */
setFlagsFromString('--heap-growing-percent=60')

await runProgram([registerOperator, registerCrd])
