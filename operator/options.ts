/** The operator's options: as given on the command line, then read and checked. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { failure } from '../api/errors.ts'
import { type ListenAddress, parseListen } from '../process/httpserver.ts'
import { isNetwork } from '../redis/connect/networkaddress.ts'
import type { RecordedDecisions } from './decisionrecorder.ts'
import { compileLimits, type LimitOptions, type Limits } from './limits.ts'
import { type ConsumerDefaults, compileConsumerDefaults } from './plan/consumerdefaults.ts'
import type { PodMonitorForm } from './plan/podmonitor.ts'
import { compilePodMonitorForm } from './plan/podmonitorform.ts'
import { scopeLeaseName } from './scopes.ts'
import { fixedLeaseName } from './succession.ts'

type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface OperatorOptions {
  /** `a,b`; empty or absent: all namespaces. */
  readonly namespaces?: string
  /** Image of consumers whose pipeline names none. */
  readonly consumerImage: string
  /** `HOST:PORT`; default `:8080`. */
  readonly metrics?: string
  /** `HOST:PORT`; default `:8081`. */
  readonly health?: string
  readonly networkPolicy?: boolean
  /** `10.0.0.0/8,…`: networks of Redis, besides Services; absent: anywhere. */
  readonly networkPolicyRedis?: string
  /** `6380,…`: ports of Redis' pods, besides those that the URLs name. */
  readonly networkPolicyPorts?: string
  readonly podMonitor?: boolean
  /** JSON of PodMonitorForm. */
  readonly podMonitorForm?: string
  /** JSON of fields of `spec.consumer`, for pipelines that do not state them. */
  readonly consumerDefaults?: string
  /** Limits on pipelines, as the flags give them. */
  readonly limits?: LimitOptions
  /** Status does not show teams which kind of server answers at an address that is no Redis. */
  readonly manyTeams?: boolean
  /** Default `info`. */
  readonly logLevel?: string
  /** Which scaling decisions are logged whole, for `simulate --replay`: `none`, `changes` (default) of the number, or `all`. */
  readonly decisionLog?: string
  /** Path; default: KUBECONFIG, ~/.kube/config, then the pod's ServiceAccount. */
  readonly kubeconfig?: string
  /** Default: POD_NAME, then the host's name. */
  readonly podName?: string
  /** Where the Lease and the signing key live. Default: POD_NAMESPACE, then the kubeconfig's or pod's own, then `default`. */
  readonly podNamespace?: string
  /** Name of the Lease for leader election, one for each release. Default: LEASE_NAME, then `streampipeline-operator`. */
  readonly lease?: string
  /** Environment with POD_NAME, POD_NAMESPACE and LEASE_NAME. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal
  /** Where log lines go; default: standard output. */
  readonly log?: { write(line: string): void }
  /** How often each pipeline's Redis is looked at; default 5000. */
  readonly observeEveryMs?: number
  /** How old contents of referred Secrets and ConfigMaps may be; default 30000. */
  readonly referencesEveryMs?: number
  /** How often a status in which only numbers changed is written; default 10000. */
  readonly numbersEveryMs?: number
  /** How often objects that could not be applied are tried again; default 5000. */
  readonly retryEveryMs?: number
  /** How long a stream in mode Direct must stay settled before its last consumer goes; default 120000. */
  readonly quietMs?: number
  /** How often the served schema is compared with this operator's; default 60000. */
  readonly schemaEveryMs?: number
  /** A key under way for longer means a wedged loop: the kubelet should start the process anew. Default 120000. */
  readonly wedgedMs?: number
  /** Milliseconds for which another release keeps a namespace after its last renewal; default 60000. */
  readonly scopeMs?: number
  /** Folder of the programs behind the wall (wall/program.ts), bundled; default: beside this program. */
  readonly programs?: string
  /** Called once the servers listen. */
  readonly onListening?: (ports: { readonly metrics: number; readonly health: number }) => void
}

export interface CompiledOperatorOptions {
  readonly namespaces: readonly string[]
  readonly consumerImage: string
  readonly metrics: ListenAddress
  readonly health: ListenAddress
  readonly networkPolicy: boolean
  readonly networkPolicyRedis: readonly string[] | undefined
  readonly networkPolicyPorts: readonly number[]
  readonly podMonitor: boolean
  readonly podMonitorForm: PodMonitorForm
  readonly consumerDefaults: ConsumerDefaults
  readonly limits: Limits
  readonly manyTeams: boolean
  readonly logLevel: LogLevel
  readonly decisionLog: RecordedDecisions
  readonly podName: string
  readonly podNamespace: string | undefined
  readonly lease: string
  /** Unique per process. */
  readonly identity: string
  readonly observeEveryMs: number
  readonly referencesEveryMs: number
  readonly numbersEveryMs: number
  readonly retryEveryMs: number
  readonly quietMs: number
  readonly programs: string | undefined
  /** It runs in a pod of the cluster, so that names of Services resolve, but not as they do beside a pipeline. */
  readonly inCluster: boolean
  readonly schemaEveryMs: number
  readonly wedgedMs: number
  readonly scopeMs: number
}

const logLevels: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[]
const recordings: readonly string[] = ['none', 'changes', 'all'] satisfies RecordedDecisions[]
const leaseForm = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/
const namespaceForm = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** Throws InvalidOption. */
export function compileOptions(options: OperatorOptions): CompiledOperatorOptions {
  const { env } = options
  const namespaces = (options.namespaces ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const odd = namespaces.find((name) => !namespaceForm.test(name))
  if (odd !== undefined) throw failure('InvalidOption', { option: '--namespaces', detail: `${odd} is no name of a namespace` })
  if (options.consumerImage === '')
    throw failure('InvalidOption', { option: '--consumer-image', detail: 'it is empty: name the image that consumers run' })
  const logLevel = (options.logLevel ?? 'info').toLowerCase()
  if (!logLevels.includes(logLevel))
    throw failure('InvalidOption', { option: '--log-level', detail: `${options.logLevel} is none of ${logLevels.join(', ')}` })
  const decisionLog = options.decisionLog ?? 'changes'
  if (!recordings.includes(decisionLog))
    throw failure('InvalidOption', { option: '--decision-log', detail: `${decisionLog} is none of ${recordings.join(', ')}` })
  const inCluster = env['KUBERNETES_SERVICE_HOST'] !== undefined
  const lease = options.lease ?? env['LEASE_NAME'] ?? fixedLeaseName
  if (!leaseForm.test(lease)) throw failure('InvalidOption', { option: '--lease', detail: `${lease} is no name of a Lease` })
  if (lease === scopeLeaseName)
    throw failure('InvalidOption', { option: '--lease', detail: `${lease} is the Lease of a served namespace` })
  const podName = options.podName ?? env['POD_NAME'] ?? hostname()
  return Object.freeze({
    namespaces: [...new Set(namespaces)],
    consumerImage: options.consumerImage,
    metrics: parseListen('--metrics', options.metrics ?? ':8080'),
    health: parseListen('--health', options.health ?? ':8081'),
    networkPolicy: options.networkPolicy ?? false,
    networkPolicyRedis: networksOf(options.networkPolicyRedis),
    networkPolicyPorts: portsOf(options.networkPolicyPorts ?? ''),
    podMonitor: options.podMonitor ?? false,
    podMonitorForm: compilePodMonitorForm(options.podMonitorForm),
    consumerDefaults: compileConsumerDefaults(options.consumerDefaults),
    limits: compileLimits(options.limits ?? {}, inCluster),
    manyTeams: options.manyTeams ?? false,
    logLevel: logLevel as LogLevel,
    decisionLog: decisionLog as RecordedDecisions,
    podName,
    podNamespace: options.podNamespace ?? env['POD_NAMESPACE'],
    lease,
    identity: `${podName}_${randomBytes(6).toString('hex')}`,
    observeEveryMs: options.observeEveryMs ?? 5_000,
    referencesEveryMs: options.referencesEveryMs ?? 30_000,
    numbersEveryMs: options.numbersEveryMs ?? 10_000,
    retryEveryMs: options.retryEveryMs ?? 5_000,
    quietMs: options.quietMs ?? 120_000,
    programs: options.programs,
    inCluster,
    schemaEveryMs: options.schemaEveryMs ?? 60_000,
    wedgedMs: options.wedgedMs ?? 120_000,
    scopeMs: options.scopeMs ?? 60_000,
  })
}

function networksOf(given: string | undefined): readonly string[] | undefined {
  if (given === undefined) return undefined
  const items = given
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  const odd = items.find((item) => !isNetwork(item))
  if (odd !== undefined)
    throw failure('InvalidOption', { option: '--network-policy-redis', detail: `${odd} is not a network such as 10.0.0.0/8` })
  return items
}

function portsOf(given: string): readonly number[] {
  const items = given
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  const odd = items.find((item) => !/^[0-9]{1,5}$/.test(item) || Number(item) < 1 || Number(item) > 65_535)
  if (odd !== undefined) throw failure('InvalidOption', { option: '--network-policy-ports', detail: `${odd} is no port` })
  return items.map(Number)
}
