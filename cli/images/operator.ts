/** The operator image's program: the command line with what concerns the operator only. `crd` helps where there is no chart. */
import { setFlagsFromString } from 'node:v8'
import { registerCrd } from '../commands/crd.ts'
import { registerOperator } from '../commands/operator.ts'
import { runProgram } from '../program.ts'

/**
 * V8 lets a heap of this size grow by a third before it collects all of it, which with 1,000 pipelines keeps two cores busy for a tenth
 * of a second: a change of a spec that comes then waits. With a half that is rarer. For 200 changes among 1,000 pipelines p99 and
 * resident memory were 58 and 95 ms with 152 MiB at four tenths, 65 and 85 ms with 156 at five, 61 and 68 ms with up to 164 at six. Not an
 * option that NODE_OPTIONS takes.
 */
setFlagsFromString('--heap-growing-percent=50')

await runProgram([registerOperator, registerCrd])
