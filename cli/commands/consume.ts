import type { Command } from 'commander'
import { stopSignal } from '../signals.ts'

export function registerConsume(program: Command): void {
  program
    .command('consume')
    .description("run one consumer of a pipeline: the consumer image's entry point")
    .requiredOption('--config <file>', 'the StreamPipeline resource')
    .option('--name <name>', "name in the consumer group (default: POD_NAME, else the host's name)")
    .option('--listen <address>', 'HOST:PORT of /metrics, /livez and /readyz', ':9090')
    .option('--refs <directory>', 'folder of mounted Secrets and ConfigMaps: secret/NAME/KEY, configmap/NAME/KEY')
    .action(async (given: { config: string; name?: string; listen: string; refs?: string }) => {
      const { runConsumer } = await import('../../consumer/run.ts')
      process.exitCode = await runConsumer({ ...given, env: process.env, signal: stopSignal() })
      // Whatever a library left open must not keep a drained consumer alive.
      process.exit()
    })
}
