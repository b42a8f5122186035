/** The consumer image's program: the command line with what concerns one consumer only, to keep the image small. */
import { registerConsume } from '../commands/consume.ts'
import { runProgram } from '../program.ts'

await runProgram([registerConsume])
