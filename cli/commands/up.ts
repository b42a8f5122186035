import type { Command } from 'commander'
import { Option } from 'commander'
import { parseDuration } from '../../api/duration.ts'
import { failure } from '../../api/errors.ts'

interface UpFlags {
  readonly file: string
  readonly name?: string
  readonly redis?: 'private'
  readonly from?: 'beginning' | 'now'
  readonly demo?: boolean
  readonly for?: string
  readonly output: 'table' | 'json'
  readonly refs?: string
  readonly decisionLog?: string
}

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('run a pipeline on this machine as local processes, with the consumers and scaling decisions of a cluster')
    .requiredOption('-f, --file <file>', 'file with the StreamPipeline')
    .option('--name <name>', 'name of the pipeline, if the file holds several')
    .addOption(new Option('--redis <kind>', 'private: start a redis-server for this run').choices(['private']))
    .addOption(
      new Option(
        '--from <start>',
        'where a group that has never read begins, instead of source.startFrom: beginning forwards the entries in the stream, now skips them',
      ).choices(['beginning', 'now']),
    )
    .option('--demo', 'add a load with duplicates and invalid payloads, and a worker that runs the jobs')
    .option('--for <duration>', 'drain and end after this time, such as 20s')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['table', 'json']).default('table'))
    .option('--refs <directory>', 'folder with Secrets and ConfigMaps, as secret/NAME/KEY and configmap/NAME/KEY')
    .option('--decision-log <file>', 'write every scaling decision, for `simulate --replay`')
    .action(async (flags: UpFlags) => {
      const { runUp } = await import('../../local/up.ts')
      const forMs = flags.for === undefined ? undefined : parseDuration(flags.for)
      if (flags.for !== undefined && forMs === undefined) {
        throw failure('InvalidOption', { option: '--for', detail: `${flags.for} is not a duration such as 500ms, 20s or 1h30m` })
      }
      process.exitCode = await runUp({ ...flags, for: forMs })
      // Ended by force: processes that were being started are not awaited.
      if (process.exitCode === 130) process.exit()
    })
}
