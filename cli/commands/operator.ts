import type { Command } from 'commander'
import { Option } from 'commander'
import { type LimitOptions, listLimits } from '../../operator/limits.ts'
import { stopSignal } from '../signals.ts'

interface OperatorFlags {
  readonly namespaces: string
  readonly consumerImage: string
  readonly metrics: string
  readonly health: string
  readonly networkPolicy?: boolean
  readonly networkPolicyRedis?: string
  readonly networkPolicyPorts?: string
  readonly podMonitor?: boolean
  readonly podMonitorForm?: string
  readonly consumerDefaults?: string
  readonly manyTeams?: boolean
  readonly logLevel: string
  readonly decisionLog: string
  readonly lease?: string
  readonly kubeconfig?: string
}

/** Commander's name of a flag: `--allow-images` is `allowImages`. */
const nameInFlags = (flag: string) => flag.replace(/^--/, '').replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

function limitsOf(flags: Readonly<Record<string, unknown>>): LimitOptions {
  const lists = listLimits.flatMap(({ value, flag }) => {
    const given = flags[nameInFlags(flag)]
    return typeof given === 'string' ? [[value, given] as const] : []
  })
  const { restrictedPods, localRedis, secretLabel } = flags as Pick<LimitOptions, 'restrictedPods' | 'localRedis' | 'secretLabel'>
  return {
    ...Object.fromEntries(lists),
    ...(restrictedPods === undefined ? {} : { restrictedPods }),
    ...(localRedis === undefined ? {} : { localRedis }),
    ...(secretLabel === undefined ? {} : { secretLabel }),
  }
}

export function registerOperator(program: Command): void {
  const operator = program
    .command('operator')
    .description('reconcile the StreamPipelines of a cluster; the entry point of the operator image')
    .requiredOption('--consumer-image <image>', 'image of consumers; a pipeline may name another one')
    .option('--namespaces <list>', 'namespaces to serve, separated by commas; empty: all', '')
    .option('--metrics <address>', 'HOST:PORT of /metrics', ':8080')
    .option('--health <address>', 'HOST:PORT of /livez and /readyz', ':8081')
    .option('--network-policy', 'make a NetworkPolicy for each pipeline')
    .option(
      '--network-policy-redis <networks>',
      'with --network-policy: consumers may reach only these networks, and the namespaces of the Services in their spec',
    )
    .option('--network-policy-ports <ports>', 'with --network-policy: ports of the pods of Redis, in addition to those in URLs')
    .option('--pod-monitor', 'make a PodMonitor for each pipeline')
    .option(
      '--pod-monitor-form <json>',
      'with --pod-monitor: labels, annotations, interval, scrapeTimeout, relabelings, metricRelabelings',
    )
    .option('--consumer-defaults <json>', 'defaults of spec.consumer, for the fields that a pipeline leaves out')
    .option('--restricted-pods', 'refuse pods that violate the pod security standard restricted')
    .addOption(
      new Option(
        '--local-redis <which>',
        'whether Redis may be at a loopback or link-local address, or at a metadata service (default: refuse in a pod, else allow)',
      ).choices(['allow', 'refuse']),
    )
    .option('--secret-label <label>', 'label, KEY or KEY=VALUE, that a Secret must have before a pipeline may name it')
    .option('--many-teams', 'if a server does not answer as Redis does, keep the details out of the status')
    .addOption(
      new Option('--log-level <level>', 'lowest level to log').choices(['debug', 'info', 'warn', 'error']).default('info'),
    )
    .addOption(
      new Option('--decision-log <which>', 'scaling decisions to log in full, for `simulate --replay`')
        .choices(['none', 'changes', 'all'])
        .default('changes'),
    )
    .option(
      '--lease <name>',
      'Lease that elects the leader; each release needs its own (default: LEASE_NAME, then streampipeline-operator)',
    )
    .option('--kubeconfig <file>', "kubeconfig to use (default: KUBECONFIG, then ~/.kube/config, then the pod's ServiceAccount)")
    .action(async (flags: OperatorFlags, command: Command) => {
      const { runOperator } = await import('../../operator/run.ts')
      process.exitCode = await runOperator({ ...flags, limits: limitsOf(command.opts()), env: process.env, signal: stopSignal() })
      // A handle that a library left open must not keep a stopped operator alive.
      process.exit()
    })
  for (const { flag, help } of listLimits) operator.option(`${flag} <list>`, help)
}
