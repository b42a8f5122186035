/** The consumer image's program: the command line with what concerns one consumer only, to keep the image small. */
import { setFlagsFromString } from 'node:v8'
import { registerConsume } from '../commands/consume.ts'
import { runProgram } from '../program.ts'

/**
 * A heap as small as a consumer's is collected whenever it has grown by a third: 28 times for 50,000 entries of 1 KiB, on cores that
 * Redis wants, too. At nine tenths it was 14 times, for 8 MiB more. Not an option that NODE_OPTIONS takes.
 */
setFlagsFromString('--heap-growing-percent=90')

await runProgram([registerConsume])
