/** `types`: the TypeScript type of a pipeline's payloads, from the schema of its resource. */
import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { failure } from '../../api/errors.ts'
import type { Terminal } from '../terminal.ts'

interface TypesFlags {
  readonly file: string
  readonly name?: string
  readonly out?: string
}

export function registerTypes(program: Command, terminal: Terminal): void {
  program
    .command('types')
    .description("print the TypeScript type of a pipeline's payloads, from its schema")
    .requiredOption('-f, --file <file>', 'file with the StreamPipeline')
    .option('--name <name>', 'name of the pipeline, if the file holds several')
    .option('--out <file>', 'file to write, such as ndvi.d.ts; default: standard output')
    .action(async (flags: TypesFlags) => {
      const [{ choosePipeline }, { payloadTypes }] = await Promise.all([
        import('../pipelineredis.ts'),
        import('../typescript.ts'),
      ])
      const { name, payload } = await choosePipeline(flags)
      const text = payloadTypes(name, payload.schema)
      if (flags.out === undefined) terminal.out(text)
      else await write(flags.out, text)
    })
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text)
  } catch (thrown) {
    throw failure('InvalidOption', { option: '--out', detail: thrown instanceof Error ? thrown.message : String(thrown) }, thrown)
  }
}
