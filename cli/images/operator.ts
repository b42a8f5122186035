/** The program of the operator image: only the commands of an operator. `crd` serves installs without the chart. */
import { setFlagsFromString } from 'node:v8'
import { registerCrd } from '../commands/crd.ts'
import { registerOperator } from '../commands/operator.ts'
import { runProgram } from '../program.ts'

/**
 * V8 lets a heap of this size grow by a third before a full collection. With 1,000 pipelines that keeps two cores busy for a tenth
 * of a second, and a changed spec waits for it. At a half it is rarer. We measured 200 changes among 1,000 pipelines twice for each
 * setting: p99 of the latency, and resident memory. Four tenths: 58 and 95 ms, 152 MiB. Five: 65 and 85 ms, 156 MiB. Six: 61 and 68
 * ms, up to 164 MiB. NODE_OPTIONS does not accept this option.
 */
setFlagsFromString('--heap-growing-percent=50')

await runProgram([registerOperator, registerCrd])
