import type { Command } from 'commander'
import { Option } from 'commander'
import { exitCodes } from '../../api/exitcodes.ts'
import { mostMessage, printable, printableJson } from '../../api/printable.ts'
import type { Terminal } from '../terminal.ts'

/** Exit codes: 0 every resource is valid (warnings change nothing), 1 at least one is not, 64 the file cannot be read. */
export function registerValidate(program: Command, terminal: Terminal): void {
  const print = (line: string) => terminal.out(`${printable(line, mostMessage)}\n`)
  program
    .command('validate')
    .description('check StreamPipelines offline, as the API server would')
    .argument('<file...>', 'YAML or JSON files')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .action(async (files: string[], { output }: { output: 'text' | 'json' }) => {
      const { validateFile } = await import('../../api/files.ts')
      const reports = await Promise.all(files.map(validateFile))
      const valid = reports.every(({ problems }) => problems.length === 0)
      if (output === 'json') terminal.out(`${printableJson(JSON.stringify({ valid, files: reports }, undefined, 2))}\n`)
      else {
        for (const { file, resources, problems, remarks } of reports) {
          for (const problem of problems) print(problem)
          for (const { name, line, memory, markMemory, queueMemory, judge } of resources) {
            if (memory !== undefined) print(`${file}:${line}: ${name} is valid; a consumer of it needs ${memory}; ${markMemory}`)
            if (queueMemory !== undefined) print(`${file}:${line}: ${name} needs ${queueMemory}`)
            if (judge !== undefined) print(`${file}:${line}: ${name}: payloads are judged by ${judge}`)
          }
          for (const remark of remarks) print(`warning: ${remark}`)
        }
      }
      terminal.endWith(valid ? exitCodes.done : exitCodes.invalid)
    })
}
