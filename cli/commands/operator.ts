import type { Command } from 'commander'
import { Option } from 'commander'
import { stopSignal } from '../signals.ts'

interface OperatorFlags {
  readonly namespaces: string
  readonly consumerImage: string
  readonly metrics: string
  readonly health: string
  readonly networkPolicy?: boolean
  readonly podMonitor?: boolean
  readonly logLevel: string
  readonly decisionLog: string
  readonly lease?: string
  readonly kubeconfig?: string
}

export function registerOperator(program: Command): void {
  program
    .command('operator')
    .description("reconcile StreamPipelines of a cluster: the operator image's entry point")
    .requiredOption('--consumer-image <image>', 'image of consumers whose pipeline names none')
    .option('--namespaces <list>', 'namespaces to watch, separated by commas; empty: all', '')
    .option('--metrics <address>', 'HOST:PORT of /metrics', ':8080')
    .option('--health <address>', 'HOST:PORT of /livez and /readyz', ':8081')
    .option('--network-policy', 'make a NetworkPolicy for each pipeline')
    .option('--pod-monitor', 'make a PodMonitor for each pipeline')
    .addOption(new Option('--log-level <level>').choices(['debug', 'info', 'warn', 'error']).default('info'))
    .addOption(
      new Option('--decision-log <which>', 'scaling decisions to log whole, for `simulate --replay`')
        .choices(['none', 'changes', 'all'])
        .default('changes'),
    )
    .option(
      '--lease <name>',
      'Lease that elects the leader; each release needs its own (default: LEASE_NAME, then streampipeline-operator)',
    )
    .option('--kubeconfig <file>', "default: KUBECONFIG, ~/.kube/config, then the pod's ServiceAccount")
    .action(async (flags: OperatorFlags) => {
      const { runOperator } = await import('../../operator/run.ts')
      process.exitCode = await runOperator({ ...flags, env: process.env, signal: stopSignal() })
      // Whatever a library left open must not keep a stopped operator alive.
      process.exit()
    })
}
