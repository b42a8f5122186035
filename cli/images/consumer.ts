/** The program of the consumer image: only the commands of one consumer, to keep the image small. */
import { setFlagsFromString } from 'node:v8'
import { registerConsume } from '../commands/consume.ts'
import { runProgram } from '../program.ts'

/**
 * V8 collects a heap of this size whenever it has grown by a third. That is 28 times for 50,000 entries of 1 KiB, on cores that
 * Redis needs, too. At nine tenths it was 14 times, for 8 MiB more. NODE_OPTIONS does not accept this option.
 */
setFlagsFromString('--heap-growing-percent=90')

await runProgram([registerConsume])
