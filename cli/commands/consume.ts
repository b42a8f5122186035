import type { Command } from 'commander'
import { Option } from 'commander'
import { endOfInput, stopSignal } from '../signals.ts'

interface ConsumeFlags {
  readonly config: string
  readonly name?: string
  readonly listen: string
  readonly refs?: string
  readonly endWithStdin?: boolean
}

/** Time for a consumer to drain after its supervisor was killed. */
const orphanGraceMs = 3_000

export function registerConsume(program: Command): void {
  program
    .command('consume')
    .description('run one consumer of a pipeline; the entry point of the consumer image')
    .requiredOption('--config <file>', 'file with the StreamPipeline')
    .option('--name <name>', 'name in the consumer group (default: POD_NAME, else the name of the host)')
    .option('--listen <address>', 'HOST:PORT of /metrics, /livez and /readyz', ':9090')
    .option('--refs <directory>', 'folder with mounted Secrets and ConfigMaps, as secret/NAME/KEY and configmap/NAME/KEY')
    // For `up`, whose consumers must not outlive it.
    .addOption(new Option('--end-with-stdin', 'drain and end when standard input closes').hideHelp())
    .action(async ({ endWithStdin, ...given }: ConsumeFlags) => {
      const { runConsumer } = await import('../../consumer/run.ts')
      const asked = stopSignal()
      const signal = endWithStdin === true ? AbortSignal.any([asked, endOfInput(orphanGraceMs)]) : asked
      process.exitCode = await runConsumer({ ...given, env: process.env, signal })
      // A handle that a library left open must not keep a drained consumer alive.
      process.exit()
    })
}
