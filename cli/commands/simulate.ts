import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import { printableJson, printableLines } from '../../api/printable.ts'
import type { SimulateOptions } from '../../scaling/simulate/run.ts'
import type { Terminal } from '../terminal.ts'

const mostSeeds = 10_000

function seeds(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > mostSeeds) {
    throw new InvalidArgumentError(`write a whole number from 1 to ${mostSeeds}`)
  }
  return count
}

const printed = (format: SimulateOptions['output'], text: string) =>
  format === 'json' ? printableJson(text) : printableLines(text)

export function registerSimulate(program: Command, terminal: Terminal): void {
  program
    .command('simulate')
    .description(
      'simulate scaling: compare scenarios with other autoscalers and an oracle, or replay a recorded log under another policy',
    )
    .option('--scenario <file...>', 'scenarios to run: files, or names of scenarios that come with streampipeline')
    .option('--all', 'run every scenario that comes with streampipeline')
    .option('--seeds <count>', 'number of runs, with seeds from 1 on; the same seed gives the same run', seeds, 5)
    .option('--plot <directory>', 'write an SVG for each scenario, with arrivals, age and replicas')
    .option('--decision-log <file>', 'write the decisions of the first scenario with the first seed')
    .option('--replay <log>', 'replay a decision log instead, such as the output of kubectl logs of the operator')
    .option('--pipeline <namespace/name>', 'with --replay: the pipeline, if the log has several')
    .option('-f, --file <file>', 'with --replay: file with the StreamPipeline whose scaling to try')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['table', 'json', 'markdown']).default('table'))
    .action(async (options: SimulateOptions) => {
      const { runSimulate } = await import('../../scaling/simulate/run.ts')
      terminal.endWith(await runSimulate(options, (text) => terminal.out(`${printed(options.output, text)}\n`)))
    })
}
