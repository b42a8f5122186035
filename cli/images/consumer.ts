/** The consumer image's program: the command line with what concerns one consumer only, to keep the image small. */
import { setFlagsFromString } from 'node:v8'
import { registerConsume } from '../commands/consume.ts'
import { runProgram } from '../program.ts'

/**
 * A heap as small as a consumer's is collected whenever it has grown by a third, which under load is ten times a second, and costs as
 * much time on the other core as forwarding does on its own. At nine tenths it is four times, for 4 MiB. Not an option that NODE_OPTIONS takes.
 */
setFlagsFromString('--heap-growing-percent=90')

await runProgram([registerConsume])
